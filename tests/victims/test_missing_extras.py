import sys

import pytest

import lightning_hash
from lightning_hash.victims import load_foreign


@pytest.mark.parametrize("package", ["onnx", "onnx2torch", "onnxruntime"])
def test_without_the_packages_of_onnx(tmp_path, monkeypatch, package):
    (tmp_path / "a.onnx").write_bytes(b"")
    for name in ("onnx", "onnx2torch", "onnxruntime"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    with pytest.raises(ValueError, match=rf"needs {package}: pip install 'lightning-hash\[onnx\]'"):
        load_foreign(str(tmp_path / "a.onnx"))


def test_without_huggingface_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ValueError, match=r"pip install 'lightning-hash\[hub\]'"):
        load_foreign("hf-hub:owner/name")
    with pytest.raises(ValueError, match=r"pip install 'lightning-hash\[hub\]'"):
        lightning_hash.push_to_hub("a.ckpt", "owner/name")
