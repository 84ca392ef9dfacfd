"""From raw text to comparable values: names, countries, codes, dates, money, and the tables made of them."""
