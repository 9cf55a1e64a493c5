module pouch.dev/examples/hello

go 1.19

require pouch.dev/pouch v0.0.0

// The binding of this checkout; a program of yours leaves this line out.
replace pouch.dev/pouch => ../../../bindings/go
