"""Are inputs and outputs written in Python what the wire says, and do they read back as themselves?"""

import pytest

from flowbatch_dsl import Fetch, Job, Store, Task

FETCH = Fetch("s3://b/Train_1.csv", "/data/Train_1.csv", digest="sha256:" + "0" * 64, secret="keys")
STORE = Store("/out/", "file:///shared/{job}/{task}/", policy="Always")


def job(**fields) -> Job:
    return Job("j", tasks=[Task("t", ["true"], **fields)])


def test_names_are_made_of_paths():
    assert (FETCH.name, STORE.name) == ("train-1-csv", "out")


@pytest.mark.parametrize(
    "made",
    [
        job(inputs=[FETCH], outputs=[STORE]),
        job(inputs=[FETCH, Fetch("https://h/x", "/x", name="other")]),
        job().but(inputs=[FETCH], outputs=[STORE]),
    ],
)
def test_they_read_back_as_themselves_and_are_sound(made):
    assert made.validate().ok, made.validate()
    assert Job.from_yaml(made.to_yaml()) == made


def test_the_wire_has_no_field_that_says_nothing():
    (task,) = job(outputs=[Store("/out/x", "s3://b/x")]).manifests()[0]["spec"]["tasks"]
    assert task["outputs"] == [{"name": "x", "path": "/out/x", "url": "s3://b/x"}]


def test_what_the_classes_have_no_field_for_is_kept_or_refused():
    text = job(inputs=[FETCH]).to_yaml().replace("secretName: keys", "secretName: keys\n      mode: 1")
    made = Job.from_yaml(text)
    assert "mode: 1" in made.to_yaml()
    assert any("inputs[0].mode" in str(each) for each in made.validate().problems)


def test_something_else_in_their_place_is_named():
    found = [str(each) for each in job(inputs=["s3://b/x"]).validate().problems]
    assert any("inputs[0]" in each and "must be a Fetch, not str" in each for each in found), found
