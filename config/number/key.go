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
	k, digits := Empty, text
	if len(text) > 0 && text[0] == '+' {
		k, digits = Plus, text[1:]
	}
	n := len(digits)
	if n > MaxDigits {
		return 0, false
	}
	if n >= 8 {
		// Eight bytes at once: the last eight digits, and what is before them with
		// the key's own first digit. It is worth its length: what a lookup computes
		// is time in which the next one's memory is not asked for.
		const each, notDigit = 0x0101010101010101, 0x8080808080808080
		first := binary.LittleEndian.Uint64(digits) - each*'0'
		last := binary.LittleEndian.Uint64(digits[n-8:]) - each*'0'
		bad := first | last | (first + each*(0x7f-9)) | (last + each*(0x7f-9)) // under '0', over '9'
		first = (first<<8 | uint64(k)) << (8 * (MaxDigits - n) & 63)
		return Key(eightDigits(first)*1e8 + eightDigits(last)), bad&notDigit == 0
	}
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		k = k*10 + Key(c)
	}
	return k, true
}

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
