module pouch.dev/pouch

go 1.19
