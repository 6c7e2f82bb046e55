from pathlib import Path

from flows.config import load_config
from ratchet.policy import base_policy, checkpoint_digest
from ratchet.records import SftRow
from ratchet.store.artifacts import Artifact, Store
from ratchet.store.identity import ArtifactSpec
from tests.helpers.places import CONFIGS, SEED_MODEL
from trainers import stage

TRAINER = 'trainer={kind="tail", tail=3, max_steps=2, batch_size=2, learning_rate=1e-3}'


def selected(store: Store) -> Artifact:
    rows = [
        SftRow(problem_id=f"p{i}", attempt=0, prompt=f"{i} + 1 = ?", completion=f"It is {i + 1}.")
        for i in range(4)
    ]

    def make(out):
        out.write_part(0, rows, SftRow)
        return {}

    return store.build(ArtifactSpec(stage="select", version=1, settings={}), make)[0]


def test_its_process_makes_a_checkpoint(tmp_path: Path) -> None:
    run = load_config(CONFIGS / "demo.toml", [TRAINER, "selection=[]", f"model.path={SEED_MODEL}"])
    training = run.trainings()[0]
    store, base = Store(tmp_path), base_policy(run.model)
    inputs = stage.TrainInputs(
        rows=selected(store),
        start=base,
        base=base,
        iteration=0,
        seed=0,
        log_path=tmp_path / "train.log",
    )
    spec = stage.spec(training.trainer, inputs)
    made, _ = store.build(spec, lambda out: stage.run(training.trainer, inputs, out))
    assert (made.metrics["rows"], made.metrics["steps"]) == (4, 2)
    assert made.metrics["tokens_learned"] == 2 * 2 * 3
    trained = stage.checkpoint_policy(made, base, 0)
    assert checkpoint_digest(Path(trained.model)) != base.fingerprint
