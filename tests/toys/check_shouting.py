from pathlib import Path

from filters import stage
from flows.config import load_config
from flows.reports.reason_words import in_words
from ratchet.problems.grading import GradingRules
from ratchet.records import Completion, Verdict
from ratchet.store.artifacts import Artifact, Store
from ratchet.store.identity import ArtifactSpec
from ratchet.verifier.grader import Grader
from tests.helpers.judged import make_completion, make_problem
from tests.helpers.places import CONFIGS

TEXTS = ("It is \\boxed{1}", "IT IS \\boxed{1}", "1")
FILTERS = 'filters=[{kind="orm"}, {kind="shouting", max_share=0.4}]'


def sampled(store: Store) -> Artifact:
    rows = [make_completion(text, attempt) for attempt, text in enumerate(TEXTS)]

    def make(out):
        out.write_part(0, rows, Completion)
        return {}

    return store.build(ArtifactSpec(stage="sample", version=1, settings={}), make)[0]


def test_a_config_that_names_it_has_its_verdicts_and_their_words(tmp_path: Path) -> None:
    configs = load_config(CONFIGS / "demo.toml", [FILTERS]).filters
    store = Store(tmp_path)
    with Grader(workers=1) as grader:
        inputs = stage.FilterInputs(
            completions=sampled(store),
            problems={"p": make_problem()},
            problems_fingerprint="f",
            rules=GradingRules(),
            grader=grader,
        )
        spec = stage.spec(configs, inputs)
        judged, _ = store.build(spec, lambda out: stage.run(configs, inputs, out))
    verdicts = [v for v in judged.rows(Verdict) if v.filter == "shouting"]
    assert [v.reason for v in verdicts] == ["calm", "shouting", "unscored"]
    assert in_words(verdicts[1]) == "it shouts"
    assert spec.settings["filters"][1]["max_share"] == 0.4
    assert judged.metrics["accepted"] == 2
