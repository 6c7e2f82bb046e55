"""Names, things and side remarks that dress a problem without changing its arithmetic."""

from __future__ import annotations

_NAMES = """
Abby Amir Anna Ben Bella Carl Chloe Clara Dan Daisy Diego Ed Elif Emma Eric Fay Finn Gina Gus
Hana Hugo Ian Ida Ines Ivan Jade Jack Jon Kai Kate Kofi Lara Leo Lina Luis Maya Max Mei Mila
Nadia Ned Nina Noah Olga Omar Pam Paul Peter Quinn Rosa Ravi Ruth Sam Sara Seth Tara Tom Uma
Vera Viktor Wendy Will Yara Yusuf Zoe
"""
NAMES = tuple(_NAMES.split())

_THINGS = """
apples badges balloons beads bells books buttons cakes candles cards carrots coins cookies
crayons cups eggs figs flags flowers hats keys kites lemons magnets marbles muffins nuts oranges
peaches pears pencils pens pins plums rings ropes scarves seeds shells spoons stamps stickers
stones tickets tiles toys
"""
THINGS = tuple(_THINGS.split())

GOODS = (
    "a book",
    "a cap",
    "a game",
    "a lamp",
    "a map",
    "a shirt",
    "a toy",
    "lunch",
    "paint",
)

REMARKS = (
    "It is a warm day.",
    "The shop opens at {x} in the morning.",
    "{bystander} is {x} years old.",
    "{bystander} lives at number {x}.",
    "{bystander} watches from the window.",
    "There are {x} chairs in the room.",
    "Bus {x} stops near the house.",
    "The weather is fine that week.",
)
"""Sentences with a number or a person that the answer does not depend on."""

PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}
TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
