import pytest

from lightning_hash.sweeps import Run


def run_of(options, *configs, verb="fit"):
    return Run("a run", verb, tuple(str(config) for config in configs), options)


@pytest.fixture
def configs(tmp_path):
    loss = "loss: {class_path: A, init_args: {x: 1}}"
    texts = {
        "base": f"model: {{bits: 16, {loss}}}\ntrainer: {{max_epochs: 5}}",
        "commented": f"# Sixteen.\ntrainer:\n  max_epochs: 5\nmodel:\n  {loss}\n  bits: 16",
        "other": "model: {bits: 32}",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return {name: tmp_path / f"{name}.yaml" for name in texts}


def test_the_fingerprint_is_of_what_is_computed_not_of_how_it_is_written(configs):
    plain = run_of({}, configs["base"])
    assert run_of({}, configs["commented"]).digest == plain.digest
    assert run_of({"model.bits": 16}, configs["base"]).digest == plain.digest
    assert run_of({"model.loss": {"init_args": {"x": 1}}}, configs["base"]).digest == plain.digest
    as_options = run_of({"model.bits": 32}, configs["base"])
    assert as_options.digest == run_of({}, configs["base"], configs["other"]).digest


@pytest.mark.parametrize(
    "other",
    [
        run_of({"model.bits": 32}),
        run_of({"model.bits": 16}, verb="attack"),
        run_of({"model.bits": 16, "model.backbone": "vgg11"}),
        run_of({"model.bits": "16"}),
    ],
)
def test_another_configuration_has_another_fingerprint(other):
    assert run_of({"model.bits": 16}).digest != other.digest


def test_later_configs_and_options_go_over_earlier_ones(configs):
    last = run_of({}, configs["other"], configs["base"]).configuration["options"]
    assert last["model"]["bits"] == 16
    run = run_of({"model.loss.init_args.x": 2}, configs["base"], configs["other"])
    assert run.configuration["options"] == {
        "model": {"bits": 32, "loss": {"class_path": "A", "init_args": {"x": 2}}},
        "trainer": {"max_epochs": 5},
    }
    assert run_of({}, configs["base"]).configuration["options"]["model"]["bits"] == 16


def test_a_changed_need_changes_the_fingerprint_of_all_that_need_it():
    def chain(bits):
        victim = run_of({"model.bits": bits})
        attack = run_of({"model.victim": victim}, verb="attack")
        return run_of({"perturbations": [attack], "victims": [victim]}, verb="transfer")

    small, large = chain(16), chain(32)
    assert len({small.digest, large.digest}) == 2
    assert [run.verb for run in small.needs] == ["attack", "fit"]
    assert [run.verb for run in small.in_order()] == ["fit", "attack", "fit", "transfer"]


def test_a_missing_config_is_named_beside_those_there_are(configs):
    with pytest.raises(
        FileNotFoundError, match=r"absent\.yaml does not exist; .*there are: .*base"
    ):
        _ = run_of({}, configs["base"].with_name("absent.yaml")).digest
