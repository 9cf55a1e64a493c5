module pouch.dev/tests/reaper

go 1.19

require pouch.dev/pouch v0.0.0

replace pouch.dev/pouch => ../../../../bindings/go
