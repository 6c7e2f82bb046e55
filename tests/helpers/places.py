"""Where things are: the repository, and real data beside it where there is any."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "configs"
SEED_MODEL = ROOT / "models" / "arithmetic-seed"
SHARED_DATA = ROOT.parent / "shared" / "data"
