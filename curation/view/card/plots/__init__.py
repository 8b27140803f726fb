"""The plots of a card's report: SVG whose colours are those of the page, dark or light."""
