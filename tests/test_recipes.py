"""Recipes: layers chosen from models, numbers as published, files, editing; none teaches nothing in silence."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import layers

import keras_kd
from keras_kd.recipes import Recipe, Term, names, recipe
from keras_kd.recipes.measuring import HARD, batches_of, measured
from keras_kd.recipes.stages import penultimate, stage_pairs

LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(width, classes, last=None):
    inputs = keras.Input((6,))
    h = layers.Dense(width, activation="relu", name="first")(inputs)
    h = layers.ReLU(name="second")(layers.Dense(width, name="hidden")(h))
    return keras.Model(inputs, layers.Dense(classes, activation=last, name="out")(layers.Dropout(0.1)(h)))


def conv1d(width, classes, last=None):
    made = [keras.Input((12, 2))]
    for n in range(2):
        made += [layers.Conv1D(width, 3, strides=2, padding="same", name=f"conv_{n}"), layers.ReLU(name=f"relu_{n}")]
    made += [layers.GlobalAveragePooling1D(name="pool"), layers.Dense(classes, activation=last, name="out")]
    return keras.Sequential(made)


def conv2d(width, classes, last=None):
    inputs = keras.Input((6, 8, 1))
    h = layers.Conv2D(width, 3, padding="same", activation="relu", name="stem")(inputs)
    for n in range(2):
        short = layers.Conv2D(width, 1, strides=2, name=f"short_{n}")(h)
        h = layers.DepthwiseConv2D(3, strides=2, padding="same", name=f"depthwise_{n}")(h)
        h = layers.BatchNormalization(name=f"norm_{n}")(layers.Conv2D(width, 1, name=f"pointwise_{n}")(h))
        h = layers.ReLU(name=f"block_{n}")(layers.Add(name=f"add_{n}")([h, short]))
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    return keras.Model(inputs, layers.Dense(classes, activation=last, name="out")(h))


def lstm(width, classes, last=None):
    inputs = keras.Input((7, 3))
    h = layers.LSTM(width, name="lower")(layers.GRU(width, return_sequences=True, name="steps")(inputs))
    return keras.Model(inputs, layers.Dense(classes, activation=last, name="out")(h))


def encoder(blocks):
    inputs = keras.Input((5,), dtype="int32")
    h = layers.Embedding(9, 8, name="embedding")(inputs)
    for n in range(blocks):
        h = layers.LayerNormalization(name=f"heard_{n}")(layers.Add()([h, layers.MultiHeadAttention(2, 4)(h, h)]))
        inner = layers.Dense(8)(layers.Dense(16, activation="relu")(h))
        h = layers.LayerNormalization(name=f"said_{n}")(h + inner)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D(name="pool")(h)))


def shallow():
    return keras.Sequential([*conv2d(4, 3).layers[:2], layers.Flatten(name="flat"), layers.Dense(3)])


NETS = {"dense": dense, "conv1d": conv1d, "conv2d": conv2d, "lstm": lstm}


DAILY = {("dense", "2"), ("conv2d", "3")}
CASES = [
    pytest.param(kind, classes, marks=[] if (kind, classes) in DAILY else pytest.mark.slow)
    for kind in NETS
    for classes in ("2", "3", "10")
]


@pytest.mark.parametrize(("kind", "classes"), CASES)
def test_no_recipe_teaches_nothing_in_silence(kind, classes):
    teacher, student = NETS[kind](8, int(classes)), NETS[kind](5, int(classes))
    shape = student.inputs[0].shape
    batch = shape[1]  # as many examples as rows
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch, *shape[1:])).astype("float32"), np.arange(batch) % int(classes)
    taught = set()
    for name in names():
        try:
            made = recipe(name, teacher, student)
        except ValueError as error:
            assert any(word in str(error) for word in ("take recipe", "name ", "use "))  # noqa: PT017
            continue
        if name in ("dkd", "dist") and classes == "2":
            assert "two classes" in made.note
            assert made.terms[0].arguments["beta"] == 0.0
        distiller = made.distiller(teacher, student)
        for key, size in measured(distiller, batches_of(x, y, batch, 1)).items():
            assert size.gradient > 1e-9 or key == HARD, (name, key)
        taught.add(name)
    refused = {"at", "nst", "ickd", "cwd"} if kind == "dense" else set()
    refused |= {"reviewkd"} if kind == "lstm" else set()
    refused |= {"kd_standardized"} if classes == "2" else set()
    assert set(names()) - taught == refused


def test_one_output_is_refused_or_taken_as_a_yes_or_no():
    teacher, student = dense(8, 1), dense(4, 1)
    with pytest.raises(ValueError, match=r"recipe 'kd': .*pass form='bernoulli'.*take recipe 'reconstruction'"):
        recipe("kd", teacher, student)
    assert recipe("kd", teacher, student, form="bernoulli").objectives()[0].form == "bernoulli"
    recipe("kd", dense(8, 1, "sigmoid"), dense(4, 1, "sigmoid"))
    for name in ("dkd", "dist", "kd_standardized"):
        with pytest.raises(ValueError, match=f"recipe '{name}'"):
            recipe(name, teacher, student)
    recipe("reconstruction", teacher, student)


@pytest.mark.parametrize(
    ("teacher", "student", "pairs", "last"),
    [
        (conv2d(8, 3), conv2d(4, 3), [("stem", "stem"), ("block_0", "block_0"), ("block_1", "block_1")], "pool"),
        (conv2d(8, 3), shallow(), [("block_1", "stem")], "flat"),
        (dense(8, 3), dense(4, 3), [("first", "first"), ("second", "second")], "second"),
        (lstm(8, 3), lstm(4, 3), [("steps", "steps")], "lower"),
        (encoder(3), encoder(1), [("said_0", "embedding"), ("said_1", "heard_0"), ("said_2", "said_0")], "pool"),
    ],
    ids=["residual", "shallow", "dense", "recurrent", "encoder"],
)  # fmt: skip
def test_layers_are_the_ends_of_stages_paired_from_the_end(teacher, student, pairs, last):
    assert stage_pairs(teacher, student) == pairs
    assert penultimate(student) == last


def test_layers_inside_nested_models_are_found_by_their_path():
    inner = layers.Conv1D(4, 3, strides=2, name="a"), layers.Conv1D(4, 2, strides=2, name="b")
    body = keras.Sequential([keras.Input((8, 2)), *inner], name="body")
    nested = keras.Sequential([keras.Input((8, 2)), body, layers.GlobalAveragePooling1D(name="pool"), layers.Dense(3)])
    assert stage_pairs(nested, nested) == [("body/a", "body/a"), ("body/b", "body/b")]
    other = keras.Sequential(
        [keras.Input((8, 2)), layers.Conv1D(3, 3, strides=2, name="c"), layers.Flatten(), layers.Dense(3)]
    )
    made = recipe("fitnets", nested, other).distiller(nested, other)
    made.compile("sgd", LOSS)
    made.fit(np.ones((4, 8, 2)), np.zeros(4), verbose=0)


def test_where_no_layers_are_found_they_are_asked_for():
    linear = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"no layers to compare.*pass layers=\[\(teacher's layer, student's layer\)"):
        recipe("rkd", dense(8, 3), linear)
    with pytest.raises(ValueError, match=r"takes no layers"):
        recipe("kd", dense(8, 3), dense(4, 3), layers=[("first", "first")])
    with pytest.raises(ValueError, match=r"layers must be pairs"):
        recipe("vid", dense(8, 3), dense(4, 3), layers=["first"])
    made = recipe("vid", dense(8, 3), dense(4, 3), layers=[(lambda m: m.layers[1], "second")])
    assert made.layers == (("first", "second"),)


def test_numbers_are_as_published():
    teacher, student = conv2d(8, 5), conv2d(4, 5)
    of = {name: recipe(name, teacher, student, steps_per_epoch=10) for name in names()}
    kd, standardized, dkd, dist = (of[name].objectives()[0] for name in ("kd", "kd_standardized", "dkd", "dist"))
    assert (kd.temperature, kd.weight, of["kd"].hard_weight) == (4.0, 0.9, 0.1)
    assert (standardized.temperature, standardized.weight, standardized.standardize) == (2.0, 9.0, True)
    assert (dkd.alpha, dkd.beta, dkd.temperature, of["dkd"].warmup_steps) == (1.0, 8.0, 4.0, 200)
    assert (dkd.weight.start, dkd.weight.end, dkd.weight.steps) == (0.0, 1.0, 200)
    assert (dist.beta, dist.gamma, dist.temperature, dist.weight) == (1.0, 1.0, 4.0, 2.0)
    assert [term.arguments["weight"] for term in of["at"].terms] == [1000 / 48, 1000 / 12, 1000 / 4]
    assert [term.arguments["weight"] for term in of["rkd"].terms] == [25.0, 50.0]
    assert of["fitnets"].layers == (("block_0", "block_0"),)
    assert of["sp"].layers == (("block_1", "block_1"),)
    assert of["crd"].layers == (("pool", "pool"),)
    assert recipe("dkd", teacher, student, steps_per_epoch=10, epochs=24).warmup_steps == 20
    assert "no warm-up" in recipe("dkd", teacher, student).note


def test_a_map_of_one_position_is_left_out_and_said():
    def net():
        inputs = keras.Input((4, 2))
        h = layers.Conv1D(3, 2, strides=2, name="two")(inputs)
        h = layers.Conv1D(3, 2, strides=2, name="one")(h)
        return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(h)))

    made = recipe("at", net(), net())
    assert made.layers == (("two", "two"),)
    assert "one and one are left out" in made.note


@pytest.mark.parametrize("name", names())
def test_a_file_gives_back_the_same_recipe(name, tmp_path):
    made = recipe(name, conv1d(6, 4), conv1d(3, 4), steps_per_epoch=7)
    assert Recipe.load(made.save(tmp_path / "recipe.toml")) == made
    assert str(made).startswith(name)


def test_text_schedules_and_lists_survive_a_file(tmp_path):
    pair = ("relu_0", "relu_1")
    terms = (
        Term("SoftTarget", {"temperature": keras_kd.Ramp(8.0, 1e-5, 10, shape="cosine"), "name": 'a"\\\n\x7f\x01é𝛼'}),
        Term("FlowOfSolution", {"weight": 0.1 + 0.2, "teacher_layer": pair, "student_layer": list(pair)}),
    )
    made = Recipe("mine", terms, hard_weight=1, note="two\nlines")
    again = Recipe.load(made.save(tmp_path / "recipe.toml"))
    assert again == made
    assert again.objectives()[0].temperature.shape == "cosine"
    assert again.objectives()[1].teacher_layer == pair


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("name = 3", "name must be text, got 3"),
        ('name = "a"\nhard_weight = "x"', "hard_weight must be a number, got 'x'"),
        ('name = "a"\nhard_wieght = 1', "hard_wieght: there is no such key"),
        ('name = "a"\nwarmup_steps = true', "warmup_steps must be an integer, got True"),
        ('name = "a"', "objectives: at least one table"),
        ('name = "a"\n[[objectives]]\nweight = 1', r"objectives\[0\].class is missing"),
        ('name = "a"\n[[objectives]]\nclass = "Soft"', r"objectives\[0\].*no objective 'Soft'"),
        ('name = "a"\n[[objectives]]\nclass = "Hint"\nwieght = 1', r"objectives\[0\].wieght: Hint takes no such"),
        ('name = "a"\n[[objectives]]\nclass = "Hint"\nweight = "1"', r"objectives\[0\].weight must be a number"),
        (
            'name = "a"\n[[objectives]]\nclass = "SoftTarget"\nstandardize = 1',
            r"standardize must be true or false, got 1",
        ),
        ('name = "a"\n[[objectives]]\nclass = "SoftTarget"\ntemperature = -1', "temperature must be above 0"),
        (
            'name = "a"\n[[objectives]]\nclass = "SoftTarget"\ntemperature = {start = 1.0}',
            "temperature: a table is a Ramp",
        ),
        ('name = "a"\nhard_weight = -1\n[[objectives]]\nclass = "Hint"', "hard_weight must be at least 0"),
        ("name = ", "is no TOML"),
    ],
    ids=[str(n) for n in range(14)],
)
def test_what_is_wrong_in_a_file_is_named_with_file_and_key(text, named, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)mine.toml: .*{named}"):
        Recipe.load(tmp_path / "mine.toml")


def test_none_is_kept_and_survives_a_file(tmp_path):
    term = Term("Hint", {"adapter": None, "ignore_class": None, "weight": 2.0})
    made = Recipe("mine", (term,))
    again = Recipe.load(made.save(tmp_path / "r.toml"))
    assert again == made
    assert again.objectives()[0].adapter is None
    assert again.objectives()[0].ignore_class is None
    edited = made.edited("Hint", weight=50.0)
    assert edited.objectives()[0].adapter is None
    assert edited.edited("Hint", adapter=None).objectives()[0].adapter == "linear"
    (tmp_path / "bad.toml").write_text('name = "it"\n[[objectives]]\nclass = "Hint"\nnone = "adapter"\n')
    with pytest.raises(ValueError, match="none must be a list of arguments"):
        Recipe.load(tmp_path / "bad.toml")


def test_recipes_are_edited_without_changing_the_one_before():
    made = recipe("rkd", dense(8, 3), dense(4, 3))
    edited = made.edited("RelationalAngle", weight=5.0).edited(0, weight=2.0).changed(hard_weight=0.5, note="mine")
    assert [term.arguments["weight"] for term in edited.terms] == [2.0, 5.0]
    assert [term.arguments["weight"] for term in made.terms] == [25.0, 50.0]
    assert edited.edited(0, weight=None).objectives()[0].weight == 1.0
    assert len(made.without("RelationalAngle").terms) == 1
    with pytest.raises(ValueError, match="no objective 'Hint'; it has 0: RelationalDistance"):
        made.edited("Hint", weight=1.0)
    with pytest.raises(ValueError, match="a recipe has no 'weight'"):
        made.changed(weight=1.0)
    with pytest.raises(ValueError, match="a schedule and cannot be warmed up"):
        made.edited(0, weight=keras_kd.Ramp(0.0, 1.0, 5)).changed(warmup_steps=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.hard_weight = 2.0


def test_wrong_names_and_arguments_are_refused():
    with pytest.raises(ValueError, match=r"there is no recipe 'dkdd'; nearest: .*dkd"):
        recipe("dkdd", dense(8, 3), dense(4, 3))
    with pytest.raises(
        ValueError, match="recipe 'kd' has no argument 'temprature'; it takes hard_weight, layers, temperature"
    ):
        recipe("kd", dense(8, 3), dense(4, 3), temprature=2.0)
    with pytest.raises(ValueError, match="steps_per_epoch must be at least 1"):
        recipe("dkd", dense(8, 3), dense(4, 3), steps_per_epoch=0)
