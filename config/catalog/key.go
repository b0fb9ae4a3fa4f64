package catalog

import "strings"

// Key is a number or a prefix as an integer: whether it has a "+", how many
// digits, and their value (15 digits take 50 bits). Leading zeros and the "+"
// matter, so no two numbers have one key; keys of numbers with the same form
// and length are in the order of the numbers.
type Key uint64

const (
	digitsShift = 50
	plusBit     = 1 << 54
	valueMask   = 1<<digitsShift - 1
)

// keyOf returns the key of a number that checkNumber accepts.
func keyOf(number string) Key {
	var k Key
	digits, plus := strings.CutPrefix(number, "+")
	if plus {
		k = plusBit
	}
	var value Key
	for i := range len(digits) {
		value = value*10 + Key(digits[i]-'0')
	}
	return k | Key(len(digits))<<digitsShift | value
}

// plainKey is keyOf for a text that may be anything: ok is false when it is not
// an optional "+" and 1 to MaxDigits digits.
func plainKey(text []byte) (k Key, ok bool) {
	if len(text) > 0 && text[0] == '+' {
		k, text = plusBit, text[1:]
	}
	if len(text) < 1 || len(text) > MaxDigits {
		return 0, false
	}
	var value Key
	for _, b := range text {
		d := b - '0'
		if d > 9 {
			return 0, false
		}
		value = value*10 + Key(d)
	}
	return k | Key(len(text))<<digitsShift | value, true
}

// Plus reports whether the number begins with "+".
func (k Key) Plus() bool { return k&plusBit != 0 }

// Digits is how many digits the number has.
func (k Key) Digits() int { return int(k>>digitsShift) & 15 }

// Value is the digits as an integer.
func (k Key) Value() uint64 { return uint64(k & valueMask) }

// Append appends the number as it is written, and allocates nothing where buf
// has room.
func (k Key) Append(buf []byte) []byte {
	if k.Plus() {
		buf = append(buf, '+')
	}
	var digits [MaxDigits]byte
	value := k.Value()
	for i := k.Digits() - 1; i >= 0; i-- {
		digits[i] = byte('0' + value%10)
		value /= 10
	}
	return append(buf, digits[:k.Digits()]...)
}

// String writes the number.
func (k Key) String() string {
	var buf [1 + MaxDigits]byte
	return string(k.Append(buf[:0]))
}

// expand returns the keys of the first and last number of a length (a key's
// bits from digitsShift) that begin with a prefix; ok is false when the prefix
// is longer or has another form.
func expand(prefix, length Key) (first, last Key, ok bool) {
	const plus = plusBit >> digitsShift
	own := prefix >> digitsShift
	if own&plus != length&plus || own > length {
		return 0, 0, false
	}
	size := Key(1)
	for range length - own {
		size *= 10
	}
	first = length<<digitsShift | prefix&valueMask*size
	return first, first + size - 1, true
}

// Entry is one entry of a list of numbers by its keys: what Numbers is, without
// a pointer.
type Entry struct {
	Kind  Kind
	First Key // the number, the range's first, or the prefix without its "*"
	Last  Key // the range's last; 0 otherwise
}

// ParseEntry reads what ParseNumbers reads. A number without visual separators
// costs no allocation.
func ParseEntry(text []byte) (Entry, error) {
	if k, ok := plainKey(text); ok {
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
