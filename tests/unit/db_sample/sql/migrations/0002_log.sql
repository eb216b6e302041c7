-- needs: 0001
CREATE TABLE sample_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    share REAL NOT NULL DEFAULT 0.5,
    line TEXT NOT NULL DEFAULT 'a TEXT; with a semicolon'
);
