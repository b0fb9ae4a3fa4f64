package catalog

import "tandem/config/number"

// Entry is one entry of a list of numbers by its keys: what Numbers is, without
// a pointer.
type Entry struct {
	Kind  Kind
	First number.Key // the number, the range's first, or the prefix without its "*"
	Last  number.Key // the range's last; 0 otherwise
}

// ParseEntry reads what ParseNumbers reads. A number without visual separators
// costs no allocation.
func ParseEntry(text []byte) (Entry, error) {
	if k, ok := number.Parse(text); ok && k > number.Plus {
		return Entry{First: k}, nil
	}
	n, err := ParseNumbers(string(text))
	if err != nil {
		return Entry{}, err
	}
	return n.entry(), nil
}

// entry returns the entry of what check accepts.
func (n Numbers) entry() Entry {
	e := Entry{Kind: n.Kind, First: keyOf(n.First)}
	if n.Kind == Range {
		e.Last = keyOf(n.Last)
	}
	return e
}

// keyOf returns the key of a number that checkNumber accepts.
func keyOf(text string) number.Key {
	k, _ := number.Parse([]byte(text))
	return k
}

// Numbers returns the entry as texts.
func (e Entry) Numbers() Numbers {
	n := Numbers{Kind: e.Kind, First: e.First.String()}
	if e.Kind == Range {
		n.Last = e.Last.String()
	}
	return n
}

// String writes the entry as ParseNumbers reads it.
func (e Entry) String() string { return e.Numbers().String() }
