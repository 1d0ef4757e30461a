"""The ground: errors, options, files of others, links, reports, and where things lie."""
