"""Rules of a plan. They are arithmetic on facts: nothing is tried out, and what comes out are plain numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from landscribe.core.plan.facts import Choice, ClassFacts, Facts, Pace
from landscribe.core.recipe import ChipTable, ModelTable, NetworkTable
from landscribe.core.recipe.adapt import LEAST_VIEWS
from landscribe.core.recipe.models import DRAWN, Encoder
from landscribe.errors import DataError, RecipeError, problem

ENCODER: Encoder = "efficientnet-lite0"
ENCODER_SCENES = 100
"""With fewer labelled scenes a network begins with what photographs have taught another one."""
DIVISOR = 32
"""Of chips: that of encoders, and twice that of a U-Net of five levels."""
SIDES = {False: 128, True: 256}
"""Of chips on a processor and on a GPU, where scenes are large enough."""
CONTEXT_SHARE = 8
"""The frame that is not learned from is this part of a chip's side."""
LEAST_BATCH, MOST_BATCH = 8, {False: 16, True: 32}
STEP_SHARE = 0.05
"""Most of the labelled ground that a step sees."""
SEEN = 1 / 3
"""Every class is in so many of the chips, if drawing them can do that."""
MOST_DRAWN = 0.9
WIDE_PX = 16
"""Objects that are wider would bear a coarser first level."""
DISJOINT, COVERED = 0.01, 0.9
"""Classes whose areas overlap by less and cover more of the labelled ground than this are land cover."""
LEAVE_ONE_OUT = 6
"""Up to so many places one is held out, else a fifth of them."""
TRAIN_SHARE = 0.85
"""Of the minutes; the rest is for preparing, predicting, polygons and score."""
LEAST_TRAIN_SHARE = 0.5
"""However long prediction takes."""
MOST_PASSES = 60
"""More passes over the labelled ground than this teach a network nothing but that ground."""
ENOUGH_STEPS = 300
"""Of a network, before any of its time is spent on something else."""
SEEDS, STEPS_FOR_EACH = (1, 3, 5), 500
"""How many networks are averaged: as many as see all labelled ground and have so many steps on labelled chips each, or
enough where fewer would learn it by heart. Single networks gained next to nothing from more steps."""
OWN_SHARE, OWN_SEEN = 0.5, 0.75
"""Share of the steps that go on with labels of networks' own, and of all steps then that are on labelled chips, since
every other of those is."""
LEAST_STEPS = 20
EPOCH_S = 90
LEAST_EPOCHS, MOST_EPOCHS = 4, 20


def require_minutes(minutes: float) -> None:
    """Refuse minutes that are none.

    Raises:
        RecipeError: In one line.
    """
    if not minutes > 0 or not math.isfinite(minutes):
        raise RecipeError(problem("--minutes", "not a time", got=f"{minutes:g}", need="more than 0"))


def choose_model(facts: Facts, number: int, table: ModelTable) -> list[Choice]:
    """Return what a network is made of and learns from.

    Args:
        facts: Of labels and imagery.
        number: Of the model in the recipe.
        table: What the recipe says of it.

    Raises:
        DataError: If the scenes are too small for a chip.
    """
    classes = {name: own for name, own in facts.classes.items() if table.classes is None or name in table.classes}
    found = [*_network(facts, table, classes), *_chips(facts, classes)]
    return [Choice(("models", number, *choice.key), choice.value, choice.why) for choice in found]


def begins_with_weights(facts: Facts, table: ModelTable) -> bool:
    """Say whether a network of a plan is an encoder that begins with weights."""
    return facts.scenes < ENCODER_SCENES and not facts.no_encoder and fits_encoder(table)


def fits_encoder(table: ModelTable) -> bool:
    """Say whether what the recipe asks of a network can be had of an encoder, too."""
    own, plain = table.network, NetworkTable()
    needs = ("family", "depth", "widths", "down", "first_pool", "block")
    return own.encoder is not None or all(getattr(own, key) == getattr(plain, key) for key in needs)


def _network(facts: Facts, table: ModelTable, classes: Mapping[str, ClassFacts]) -> Iterator[Choice]:
    if begins_with_weights(facts, table):
        why = f"{facts.scenes} labelled scenes, under {ENCODER_SCENES}: begin with what photographs have taught"
        yield Choice(("network", "encoder"), table.network.encoder or ENCODER, why)
        if table.network.norm == "batch" and table.network.weights != DRAWN:
            why = "a million photographs know better than a few tiles what its maps are normalised by"
            yield Choice(("network", "norm"), "frozen", why)
        return
    thin = min(((own.width_px, name) for name, own in classes.items() if own.width_px), default=None)
    if thin is not None and table.network.family == "unet" and table.network.encoder is None:
        why = f"{thin[1]} is about {thin[0]:.0f} px wide, and finest levels keep it"
        yield Choice(("network", "first_pool"), 2, why if thin[0] < WIDE_PX else "as in all measurements")


def _chips(facts: Facts, classes: Mapping[str, ClassFacts]) -> Iterator[Choice]:
    most = SIDES[facts.gpu]
    size = min(most, facts.side_px // 2 // DIVISOR * DIVISOR)
    why = f"at most half of the smallest scene's {facts.side_px} px"
    if size < 2 * DIVISOR:
        size, why = 2 * DIVISOR, f"the least that a network takes; the smallest scene has {facts.side_px} px"
    if facts.side_px < size:
        need = f"{size} px on a side"
        raise DataError(problem("plan", "a scene is too small for a chip", got=f"{facts.side_px} px", need=need))
    yield Choice(("chips", "size"), size, f"for a {'GPU' if facts.gpu else 'processor'}" if size == most else why)
    context = size // CONTEXT_SHARE
    yield Choice(("chips", "context"), context, "an eighth of a chip is seen around what is learned from")
    inner = size - 2 * context
    fitting = STEP_SHARE * facts.train_px / inner**2
    batch = int(min(max(fitting // 4 * 4, LEAST_BATCH), MOST_BATCH[facts.gpu]))
    share = batch * inner**2 / facts.train_px
    why = f"a step sees {share:.1%} of {facts.train_px / 1e6:.2f} Mpx of labelled ground"
    yield Choice(("chips", "batch"), batch, why + (", no fewer chips than that" if share > STEP_SHARE else ""))
    yield _oversample(classes)


def _oversample(classes: Mapping[str, ClassFacts]) -> Choice:
    """Draw as many chips by class as put every class into a third of them."""
    default = float(ChipTable.model_fields["oversample"].default)
    there = {name: own for name, own in classes.items() if own.near > 0}
    key = ("chips", "oversample")
    if not there:
        return Choice(key, default, "nothing is known of the classes")
    name, rare = min(there.items(), key=lambda pair: pair[1].near)
    # A chip drawn for another class shows this one as often as any chip does.
    gain = (1 - rare.near) / len(there)
    got = rare.near + default * gain
    if got >= SEEN:
        return Choice(key, default, f"the rarest class, {name}, is in {got:.0%} of the chips")
    share = min(max(math.ceil((SEEN - rare.near) / gain * 20) / 20, default), MOST_DRAWN)
    then = rare.near + share * gain
    return Choice(key, share, f"the rarest class, {name}, is in {then:.0%} of the chips, and not in {got:.0%}")


def choose_for_all(facts: Facts, *, split: str, exclusive: bool) -> Iterator[Choice]:
    """Yield what concerns all models: how polygons share ground, and what is held out.

    Args:
        facts: Of labels and imagery.
        split: How the recipe draws what validates.
        exclusive: Whether it has classes exclude each other.
    """
    if len(facts.classes) > 1 and ((facts.overlap < DISJOINT and facts.covered > COVERED) or exclusive):
        why = f"classes cover {facts.covered:.0%} of the labelled ground and share {max(facts.overlap, 0):.1%}"
        yield Choice(("vectorize", "exclusive"), True, why)
    if split == "place" and facts.places > 1:
        one = facts.places <= LEAVE_ONE_OUT
        share = math.ceil(100 / facts.places) / 100 if one else 0.2
        why = "one of them is held out" if one else "a fifth of them is held out"
        yield Choice(("validate", "share"), share, f"{facts.places} places: {why}")


def choose_length(
    facts: Facts,
    minutes: float,
    networks: Mapping[int, tuple[ModelTable, Pace]],
    *,
    seed: int,
    folds: int,
    views: int,
    goes_on: bool,
) -> list[Choice]:
    """Turn minutes into epochs, steps and seeds.

    Args:
        facts: Of labels and imagery.
        minutes: For the whole run.
        networks: Number of a model in the recipe -> its table as it will be, and its pace.
        seed: Of the recipe.
        folds: Networks that tuning trains beside each.
        views: That are averaged.
        goes_on: Whether networks go on with labels of their own, which is for the recipe to say: it gained where one
            class of roofs was to be found, and lost more on land cover and on little ground.

    Raises:
        RecipeError: If the minutes are too few to train anything.
    """
    share = minutes * 60 / len(networks)
    found = {k: _length(facts, share, *of_one, folds, views, own=goes_on) for k, of_one in networks.items()}
    least = min(length.steps for length in found.values())
    if least < LEAST_STEPS:
        need = f"{math.ceil(minutes * LEAST_STEPS / max(least, 1e-9)):,} minutes or more"
        raise RecipeError(problem("--minutes", f"too few for {LEAST_STEPS} steps", got=f"{minutes:g}", need=need))
    # One number says how long all networks go on.
    epochs = min(length.epochs for length in found.values()) if goes_on else 0
    choices = [choice for number, length in found.items() for choice in length.choices(number, seed, epochs)]
    if goes_on:
        what = "half of the steps go on with labels that networks give new scenes themselves"
        choices.append(Choice(("adapt", "epochs"), epochs, what))
    return choices


@dataclass(frozen=True)
class _Length:
    """How long networks of one row learn."""

    steps: float
    """That there is time for, of each."""
    most: float
    """That do not learn the labelled ground by heart."""
    count: int
    spent_s: float
    step_s: float
    of_step: float
    """Share of the labelled ground that a step sees."""

    @property
    def epochs(self) -> int:
        return min(max(round(self.spent_s / EPOCH_S), LEAST_EPOCHS), MOST_EPOCHS)

    def choices(self, number: int, seed: int, more: int) -> Iterator[Choice]:
        """Yield the settings of a model that goes on for `more` epochs after its own, which are as many then."""
        epochs = more or self.epochs
        all_epochs = epochs + more
        of_epoch = max(1, int(min(self.steps, self.most) / all_epochs))
        passes = epochs * of_epoch * self.of_step * (OWN_SEEN / OWN_SHARE if more else 1)
        why = f"{all_epochs * of_epoch} steps of {self.step_s:.2f} s, {passes:.0f} passes over the labelled ground"
        spent = ", more would learn it by heart" if self.steps > self.most else ""
        yield Choice(("models", number, "schedule", "epochs"), epochs, why + spent)
        yield Choice(("models", number, "schedule", "steps"), of_epoch, "of an epoch")
        seeds = [] if self.count == 1 else [seed + n for n in range(self.count)]
        why = f"one network: {SEEDS[1]} would have too few steps each"
        if self.count > 1:
            why = f"{self.count} are averaged: one alone gained next to nothing from more steps"
        yield Choice(("models", number, "seeds"), seeds, why)


def _length(
    facts: Facts, share_s: float, table: ModelTable, pace: Pace, folds: int, views: int, *, own: bool
) -> _Length:
    """Spend seconds on steps, and on several networks as soon as there are enough steps for each."""
    inner = table.chips.size - 2 * table.chips.context
    of_step = table.chips.batch * inner**2 / facts.train_px
    most = MOST_PASSES / of_step / (OWN_SEEN if own else 1)
    plenty = STEPS_FOR_EACH / (1 - OWN_SHARE if own else 1)
    steps, count, spent_s = 0.0, 1, 0.0
    for several in SEEDS:
        looked_s = views * pace.mpx_s * facts.all_px / 1e6 + (_labelling_s(facts, pace, views) if own else 0)
        train_s = max(min(TRAIN_SHARE * share_s, share_s - several * looked_s), LEAST_TRAIN_SHARE * share_s)
        each_s = train_s / several / (1 + folds)
        left = each_s / (pace.step_s + _looking(facts, pace, each_s))
        enough = ENOUGH_STEPS if steps > most else plenty
        if several > 1 and left < max(enough, most / MOST_PASSES):
            break
        steps, count, spent_s = left, several, each_s
    return _Length(
        steps, max(most, ENOUGH_STEPS * (SEEDS[1] if count == 1 else 1)), count, spent_s, pace.step_s, of_step
    )


def _labelling_s(facts: Facts, pace: Pace, views: int) -> float:
    """Return the seconds that one network takes to label all new scenes."""
    return max(views, LEAST_VIEWS) * pace.mpx_s * facts.all_px / 1e6


def _looking(facts: Facts, pace: Pace, each_s: float) -> float:
    """Return the seconds of looking at held-out scenes after each epoch, for each step."""
    epochs = min(max(each_s / EPOCH_S, LEAST_EPOCHS), MOST_EPOCHS)
    return epochs * pace.mpx_s * facts.held_px / 1e6 / max(each_s / pace.step_s, 1)
