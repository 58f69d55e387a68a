"""Pages for people: rendered here, themed by files, in the languages of the catalogues."""
