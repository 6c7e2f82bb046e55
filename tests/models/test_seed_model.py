import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from models import seed_model
from models.seed_model import Recipe, SeedExample
from ratchet.generation.prompts import PromptConfig, prompt_token_ids, render_prompt
from ratchet.problems.arithmetic import generate
from ratchet.problems.arithmetic.words import NAMES, THINGS
from tests.helpers.places import SEED_MODEL

GSM8K_LIKE = (
    "Weng earns $12 an hour for babysitting. Yesterday, she did 50% of 1,250.75 minutes — “café” "
    "№ 5, 数学 ½ × 3 ≥ 1?\n\tHow much did she earn?"
)


def undressed(problem):
    """Problem and solution without names and things, which can't make a problem another one."""
    text = f"{problem.problem} {problem.solution}"
    return re.sub(rf"\b({'|'.join((*NAMES, *THINGS))})\b", "_", text)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(SEED_MODEL)


@pytest.fixture(scope="module")
def model():
    return AutoModelForCausalLM.from_pretrained(SEED_MODEL, dtype=torch.float32).eval()


def test_the_folder_takes_at_most_4_megabytes():
    assert sum(file.stat().st_size for file in SEED_MODEL.rglob("*")) <= 4_000_000


def test_the_model_has_under_a_million_parameters_and_room_for_long_prompts(model):
    assert model.num_parameters() < 1_000_000
    assert model.config.max_position_embeddings >= 1024
    assert model.config.tie_word_embeddings


def test_the_prompt_is_chatml(tokenizer):
    assert render_prompt(tokenizer, PromptConfig(), "1 + 1?") == (
        "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("text", [GSM8K_LIKE, generate("dev", 1, [6], 0)[0].problem])
def test_tokens_give_back_the_prompt_whatever_is_written_in_it(tokenizer, text):
    prompt = render_prompt(tokenizer, PromptConfig(), text)
    assert tokenizer.decode(prompt_token_ids(tokenizer, prompt)) == prompt


def test_special_tokens_are_single_and_known_to_generation(tokenizer, model):
    ids = prompt_token_ids(tokenizer, "<|im_start|>x<|im_end|>")
    assert len(ids) == 3
    assert ids[-1] == tokenizer.eos_token_id == model.generation_config.eos_token_id
    assert tokenizer.pad_token_id not in (None, tokenizer.eos_token_id)


def test_every_digit_is_a_token(tokenizer):
    assert len(prompt_token_ids(tokenizer, "31415")) == 5


def test_solutions_are_short(tokenizer):
    for problem in generate("train", 90, (1, 2, 3), 0):
        tokens = len(prompt_token_ids(tokenizer, problem.solution))
        assert tokens <= 10 + 16 * problem.level


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("seed", [0, 1, 17])
def test_the_seed_model_was_trained_on_no_problem_of_the_demo(split, seed):
    levels = Recipe().levels
    taught = seed_model.seed_problems(Recipe())
    asked = generate(split, {"train": 6000, "dev": 1200, "test": 1000}[split], levels, seed)
    assert not {p.problem for p in taught} & {p.problem for p in asked}
    assert not {undressed(p) for p in taught} & {undressed(p) for p in asked}


def test_the_model_is_weak_but_not_hopeless(model, tokenizer):
    problems = generate("dev", 100, Recipe().levels, seed=3)
    completions = seed_model.greedy_completions(model, tokenizer, problems)
    share = seed_model.accuracy_by_level(problems, completions)[0]
    assert 0.2 < share < 0.55


def test_the_card_tells_what_the_model_saw():
    card = (SEED_MODEL / "README.md").read_text(encoding="utf-8")
    assert f"It saw {Recipe().num_problems} problems" in card
    assert "python -m models.seed_model --out models/arithmetic-seed" in card


def test_the_loss_is_on_the_completion_and_its_end_only():
    batch = seed_model._collate([SeedExample([5, 6, 7], [8, 2]), SeedExample([5], [2])], pad=0)
    assert batch["input_ids"].tolist() == [[5, 6, 7, 8, 2], [5, 2, 0, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, -100, 8, 2], [-100, 2, -100, -100, -100]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]


def test_accuracy_counts_the_last_boxed_number():
    problems = generate("dev", 2, [1], 0)
    completions = [rf"\boxed{{1}} \boxed{{{problems[0].reference_answer}}}", "no answer"]
    assert seed_model.accuracy_by_level(problems, completions) == {0: 0.5, 1: 0.5}


def test_a_seed_model_is_made_from_nothing(tmp_path):
    recipe = Recipe(num_problems=40, steps=2, batch_size=4, warmup_steps=1)
    accuracy = seed_model.make_seed_model(recipe, tmp_path, num_dev=6)
    assert set(accuracy) == {0, *recipe.levels}
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.num_parameters() < 1_000_000
    assert "It saw 40 problems" in (tmp_path / "README.md").read_text(encoding="utf-8")
