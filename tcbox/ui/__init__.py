"""The pages that browsers get: plain files, served by `tcbox.box.landing`."""
