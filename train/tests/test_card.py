"""The model card's tables."""


import pytest

import export
from card import facts, replace_block, table
from model import Dccrn
from weights import Folded


def test_card(tmp_path):
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# Card\n<!-- figures -->\nold\n<!-- /figures -->\nend\n")
    reports = [
        {"name": "a: input", "pairs": 2, "mean": {"PESQ-WB": 1.75, "LSD-HF": None}},
        {"name": "a: Wisp", "pairs": 2, "mean": {"PESQ-WB": 2.5, "LSD-HF": 12.34}},
    ]
    replace_block(card, "figures", table(reports))
    assert card.read_text() == (
        "# Card\n<!-- figures -->\n| set | PESQ-WB | LSD-HF |\n|---|---|---|\n| a: input (2 pairs) | 1.750 | - |\n"
        "| a: Wisp (2 pairs) | 2.500 | 12.3 |\n<!-- /figures -->\nend\n"
    )
    reports[1] |= {"judges": ["DistillMOS", "noise left 60-300", "noise left 300-1000"]}
    reports[1]["mean"] |= {"DistillMOS": 3.5, "noise left 60-300": -16.34, "noise left 300-1000": None}
    assert table(reports).splitlines()[4:] == [
        "", "| set | DistillMOS | noise left |", "|---|---|---|", "| a: input (2 pairs) | - | - - |",
        "| a: Wisp (2 pairs) | 3.500 | -16.3 - |",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no <!-- facts -->"):
        replace_block(card, "facts", "x")
    export.export(Dccrn().eval(), {"step": 10, "hours": 3.5}, tmp_path / "w", tmp_path / "g")
    said = facts(Folded(tmp_path / "w").about, tmp_path / "w")
    assert "66,812" in said and "3.5 (10 steps)" in said and "M |" in said
