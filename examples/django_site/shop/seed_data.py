"""The products, customers and notices of the demo."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from shop.models import Product

_DECK, _NAVIGATION, _GALLEY = Product.Category

PRODUCTS: list[dict[str, Any]] = [
    {
        "name": "Storm lantern",
        "slug": "storm-lantern",
        "category": _DECK,
        "summary": "Stays lit when the rest of the pier does not.",
        "description": "Galvanised steel, a thick glass chimney and a wick that can be trimmed "
        "with gloves on. Burns for twenty hours on one filling.",
        "price": Decimal("39.00"),
        "stock": 24,
    },
    {
        "name": "Hemp rope",
        "slug": "hemp-rope",
        "category": _DECK,
        "summary": "Twenty metres, three strands, no surprises.",
        "description": "Laid by hand on the rope walk behind the church. Softens with use and "
        "holds a knot when wet. 12 mm, whipped at both ends.",
        "price": Decimal("24.50"),
        "stock": 60,
    },
    {
        "name": "Brass compass",
        "slug": "brass-compass",
        "category": _NAVIGATION,
        "summary": "Points north. Also on Sundays.",
        "description": "A dry card in a solid brass case with a lid, small enough for a coat "
        "pocket. Each one is checked against the church tower before it leaves.",
        "price": Decimal("68.00"),
        "stock": 9,
    },
    {
        "name": "Enamel mug",
        "slug": "enamel-mug",
        "category": _GALLEY,
        "summary": "Falls well.",
        "description": "Two coats of enamel over pressed steel, a rim in signal red, a handle for "
        "a whole hand. Holds 350 ml and any amount of conversation.",
        "price": Decimal("12.00"),
        "stock": 120,
    },
    {
        "name": "Signal flags",
        "slug": "signal-flags",
        "category": _NAVIGATION,
        "summary": "All twenty-six letters, for long messages.",
        "description": "The international code in sewn cotton, with toggles, in a canvas roll. "
        "Comes with a card that tells you what not to fly by accident.",
        "price": Decimal("54.00"),
        "stock": 14,
    },
    {
        "name": "Ship’s bell",
        "slug": "ships-bell",
        "category": _DECK,
        "summary": "Heard across the harbour, and back.",
        "description": "Cast bronze, 15 cm, with a rope that somebody spent an evening plaiting. "
        "Neighbours on the other shore set their watches by it.",
        "price": Decimal("85.00"),
        "stock": 0,
    },
    {
        "name": "Harbour tea",
        "slug": "harbour-tea",
        "category": _GALLEY,
        "summary": "Strong enough for the middle watch.",
        "description": "Assam with a little smoke in it, in a tin that keeps out the damp. 125 g, "
        "about fifty mugs, or one long night.",
        "price": Decimal("9.50"),
        "stock": 80,
    },
    {
        "name": "Tide almanac",
        "slug": "tide-almanac",
        "category": _NAVIGATION,
        "summary": "Next year’s water, already written down.",
        "description": "High and low waters for every day, the moon, the lights, and wide margins "
        "for your own opinion. Sewn, so it lies open on the chart table.",
        "price": Decimal("16.00"),
        "stock": 45,
    },
    {
        "name": "Message bottle",
        "slug": "message-bottle",
        "category": _GALLEY,
        "summary": "Delivery not guaranteed; order is.",
        "description": "Thick green glass, a good cork, and a sheet of paper that takes ink "
        "when damp. What you write is up to you, and the current.",
        "price": Decimal("14.00"),
        "stock": 33,
    },
]

CUSTOMERS = [
    "Ada Lovelace",
    "Grace Hopper",
    "Mary Anning",
    "Joseph Conrad",
    "Nellie Bly",
    "Joshua Slocum",
    "Jeanne Baret",
    "Matthew Flinders",
]

NOTICES = [
    {"author": "The harbour master", "text": "Berth 4 is closed until the crane has had its tea."},
    {"author": "Nellie Bly", "text": "Back from once around. Who has my suitcase?"},
]
