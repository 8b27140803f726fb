import subprocess
import sys
from pathlib import Path

import shards


def test_the_contract_loads_neither_ray_nor_torch_nor_a_video_library() -> None:
    names = sorted(path.stem for path in Path(shards.__file__).parent.glob("*.py") if path.stem != "__init__")
    code = "import sys\n" + "".join(f"import shards.{name}\n" for name in names)
    code += (
        "print(sorted({'ray', 'torch', 'av', 'duckdb', 'PIL', 'curation', 'runtime', 'training'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
