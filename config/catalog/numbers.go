package catalog

// Kind tells the three ways in which numbers are written apart.
type Kind uint8

// Kinds of Numbers.
const (
	Exact  Kind = iota // "+15550000001"
	Range              // "+15550001000-+15550001999": both ends included
	Prefix             // "+1555100*"
)

// Numbers is one entry of a numbers list. A number is an optional "+" and 1 to
// 15 digits; a short code has no "+" and keeps its leading zeros.
type Numbers struct {
	Kind  Kind
	First string // the number, the range's first, or the prefix without its "*"
	Last  string // the range's last; "" otherwise
}

// ParseNumbers reads one entry as an operator writes it. Visual separators
// (space - . ( )) inside a number are accepted and removed. (implemented by the catalog owner)
