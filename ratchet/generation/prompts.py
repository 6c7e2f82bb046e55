"""From a problem to the prompt's text and token ids: the same in sampler, trainer and eval.

The text is rendered once, by the tokenizer's chat template, and tokenized with
`add_special_tokens=False`, because a template that writes its own BOS would otherwise get two.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

from pydantic import field_validator

from ratchet.config import Config
from ratchet.errors import InputError


class Tokenizer(Protocol):
    """What we need of a Hugging Face tokenizer."""

    chat_template: Any

    def apply_chat_template(self, conversation: Any, **kwargs: Any) -> Any: ...

    def __call__(self, text: str, **kwargs: Any) -> Any: ...


class PromptConfig(Config):
    """How a problem becomes a prompt."""

    style: Literal["chat", "plain"] = "chat"
    """`chat` renders the tokenizer's chat template; `plain` sends the template's text as it is."""
    template: str = "{problem}"
    """The user's message; `{problem}` stands for the problem."""
    system: str = ""
    """The system message; empty for none."""
    chat_template_args: dict[str, bool | int | float | str] = {}
    """Passed to the chat template, e.g. `enable_thinking = false`."""

    @field_validator("template")
    @classmethod
    def _holds_problem(cls, template: str) -> str:
        if "{problem}" not in template:
            raise ValueError(f"the template {template!r} has no {{problem}}, so all prompts agree")
        return template


def render_prompt(tokenizer: Tokenizer, config: PromptConfig, problem: str) -> str:
    """The prompt's text, special tokens written out.

    Raises:
        InputError: if `style` is `chat` and the tokenizer has no chat template.
    """
    content = config.template.replace("{problem}", problem)
    if config.style == "plain":
        return f"{config.system}{content}"
    if not tokenizer.chat_template:
        raise InputError(
            "the model's tokenizer has no chat template, so a chat prompt can't be rendered; "
            'set prompt.style = "plain", or use a model that has one'
        )
    messages = [{"role": "user", "content": content}]
    if config.system:
        messages.insert(0, {"role": "system", "content": config.system})
    text: str = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, **config.chat_template_args
    )
    return text


def prompt_token_ids(tokenizer: Tokenizer, prompt: str, prefix: str = "") -> list[int]:
    """Token ids of a rendered prompt, and of a completion's beginning after it.

    No special token is added. Each is tokenized on its own: the prompt's ids don't change.
    """
    ids: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    if prefix:
        ids += tokenizer(prefix, add_special_tokens=False)["input_ids"]
    return ids
