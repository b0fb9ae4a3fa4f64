// Package number has phone numbers as integers, which is how millions of them
// are kept, compared and looked up.
package number

import (
	"encoding/binary"
	"math/bits"
)

// MaxDigits is the most digits that a number has (ITU-T E.164 6.1).
const MaxDigits = 15

// Bits is how many bits a Key takes.
const Bits = 52

// Key is a number, or a prefix, as an integer: its digits with a 1 in front, or
// a 2 in place of a "+". So leading zeros and the "+" matter, and no two numbers
// have one key. Keys of one Form follow each other as their numbers do, and to
// cut the last digit is to divide by ten. The zero Key is no number.
type Key uint64

// The keys of no digits: they are prefixes, of all numbers and of those with a
// "+", and not numbers.
const (
	Empty Key = 1
	Plus  Key = 2
)

// Form tells keys apart by count of digits and by "+": 2 × digits, and 1 more
// for a "+".
type Form int

// Forms is how many there are.
const Forms Form = 2 * (MaxDigits + 1)

// Parse reads an optional "+" and at most MaxDigits digits. It reports false for
// anything else; no digits at all are a prefix.
func Parse(text []byte) (Key, bool) {
	if l := read(text); l.valid() {
		return l.key(), true
	}
	k, digits := Empty, text
	if len(text) > 0 && text[0] == '+' {
		k, digits = Plus, text[1:]
	}
	if len(digits) > MaxDigits {
		return 0, false
	}
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		k = k*10 + Key(c)
	}
	return k, true
}

// long is a text as long as most numbers are, in two times eight bytes that
// overlap: no loop, and no branch that some numbers take and others do not.
type long struct {
	first, last uint64
	length      int // with the key's own first digit, which first begins with
}

// read reads a text of 9 to 16 bytes; what else there is is not valid.
func read(text []byte) long {
	n := len(text)
	if n < 9 || n > 1+MaxDigits {
		return long{}
	}
	first, last := binary.LittleEndian.Uint64(text), binary.LittleEndian.Uint64(text[n-8:])
	if byte(first) == '+' {
		return long{first ^ '+' ^ '2', last, n}
	}
	if n > MaxDigits {
		return long{}
	}
	return long{first<<8 | '1', last, n + 1}
}

// valid reports whether all of the text are digits, after the "+".
func (l long) valid() bool {
	first, last := l.first^each*'0', l.last^each*'0'
	over := (first + each*(0x7f-9)) | (last + each*(0x7f-9))
	return (first|last|over)&(each*0x80) == 0
}

// key is the text as a number; of a text that is not valid it means nothing.
func (l long) key() Key {
	first, last := l.first^each*'0', l.last^each*'0'
	return Key(eightDigits(first<<(-8*l.length&63))*1e8 + eightDigits(last))
}

const each = 0x0101010101010101

// eightDigits is the value of eight bytes 0 to 9, the first digit in the lowest.
func eightDigits(w uint64) uint64 {
	w = w * (10<<8 + 1) >> 8                               // pairs
	w = w & 0x00ff00ff00ff00ff * (100<<16 + 1) >> 16       // fours
	return w & 0x0000ffff0000ffff * (10_000<<32 + 1) >> 32 // all
}

var powers = func() (p [MaxDigits + 1]Key) {
	p[0] = 1
	for i := 1; i < len(p); i++ {
		p[i] = 10 * p[i-1]
	}
	return p
}()

// Digits is how many digits the number has.
func (k Key) Digits() int {
	digits := bits.Len64(uint64(k)) * 1233 >> 12 // × log10(2), at most one too many
	if digits <= MaxDigits && powers[digits] <= k {
		return digits
	}
	return max(digits-1, 0)
}

// Plus reports whether the number begins with "+".
func (k Key) Plus() bool { return k >= Plus*powers[k.Digits()] }

// Form is the form of k.
func (k Key) Form() Form {
	digits := k.Digits()
	if k >= Plus*powers[digits] {
		return Form(2*digits + 1)
	}
	return Form(2 * digits)
}

// Digits is how many digits the numbers of a form have.
func (f Form) Digits() int { return int(f / 2) }

// Plus reports whether the numbers of a form begin with "+".
func (f Form) Plus() bool { return f&1 != 0 }

// Value is the digits as an integer.
func (k Key) Value() uint64 { return uint64(k % powers[k.Digits()]) }

// Cut is k without its last digit; of no digits it is 0.
func (k Key) Cut() Key { return k / 10 }

// Numbers returns the first and the last number of a form that begin with the
// prefix k; ok is false when there are none.
func (k Key) Numbers(f Form) (first, last Key, ok bool) {
	own := k.Form()
	if own > f || own.Plus() != f.Plus() {
		return 0, 0, false
	}
	size := powers[f.Digits()-own.Digits()]
	return k * size, k*size + size - 1, true
}

// Append appends the number as it is written, and allocates nothing where buf
// has room.
func (k Key) Append(buf []byte) []byte {
	if k == 0 {
		return buf
	}
	if k.Plus() {
		buf = append(buf, '+')
	}
	var digits [MaxDigits]byte
	at := len(digits)
	for ; k > Plus; k /= 10 {
		at--
		digits[at] = byte('0' + k%10)
	}
	return append(buf, digits[at:]...)
}

// String writes the number.
func (k Key) String() string {
	var buf [1 + MaxDigits]byte
	return string(k.Append(buf[:0]))
}
