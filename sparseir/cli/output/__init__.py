"""What commands give: lines and tables on a terminal, pages, and the places that results go to."""
