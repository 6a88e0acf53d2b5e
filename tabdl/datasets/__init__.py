"""Simulated tables whose truth is known, for trying things out, for tests and for documentation."""

from tabdl.datasets.conversion import CAUSES as CAUSES
from tabdl.datasets.conversion import MOMENT as MOMENT
from tabdl.datasets.conversion import PLANS as PLANS
from tabdl.datasets.conversion import conversion_logit as conversion_logit
from tabdl.datasets.conversion import make_conversion as make_conversion
from tabdl.datasets.sales import make_sales as make_sales
