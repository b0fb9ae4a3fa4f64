package table

import "encoding/binary"

// MaxDigits is the most digits of an international number (ITU-T E.164 6.1).
const MaxDigits = 15

// A key is the place of a number, or a prefix, among all of them: those without
// "+" by length and value, then those with it. Leading zeros and the "+" matter,
// so the digits' value alone would not tell 0110 from 110 or from +110. There are
// 2 × 1,111,111,111,111,111 keys, which is 51 bits. Keys of equal length and
// equal "+" follow each other as their numbers do.
type key uint64

const keyBits = 51

// classes are the combinations of length and "+": 0 to 15 digits (0 only in a
// prefix) without, then with it.
const (
	lengths = MaxDigits + 1
	classes = 2 * lengths
)

// firstKey is the lowest key of each class.
var firstKey = func() (first [classes]key) {
	next := key(0)
	for class := range first {
		first[class] = next
		next += key(power(class % lengths))
	}
	return first
}()

func power(digits int) uint64 {
	p := uint64(1)
	for range digits {
		p *= 10
	}
	return p
}

func makeKey(plus bool, digits int, value uint64) key {
	class := digits
	if plus {
		class += lengths
	}
	return firstKey[class] + key(value)
}

func (k key) class() int {
	class := classes - 1
	for firstKey[class] > k {
		class--
	}
	return class
}

// parts is what makeKey has made k of.
func (k key) parts() (plus bool, digits int, value uint64) {
	class := k.class()
	return class >= lengths, class % lengths, uint64(k - firstKey[class])
}

// String writes the number as it was read.
func (k key) String() string {
	plus, digits, value := k.parts()
	var b [1 + MaxDigits]byte
	at := len(b)
	for range digits {
		at--
		b[at] = byte('0' + value%10)
		value /= 10
	}
	if plus {
		at--
		b[at] = '+'
	}
	return string(b[at:])
}

// parseKey reads an optional "+" and at most 15 digits. It reports false for
// anything else; no digits at all are fine here, because a prefix may have none.
func parseKey(number []byte) (key, bool) {
	digits, class := len(number), len(number)
	if digits > 0 && number[0] == '+' {
		digits--
		class = digits + lengths
	}
	if digits > MaxDigits {
		return 0, false
	}
	lowest := firstKey[class%classes]
	if digits >= 8 {
		// The first eight and the last eight at once. It is worth its length: what
		// a lookup computes is time in which the next one's memory is not asked for.
		const each, notDigit = 0x0101010101010101, 0x8080808080808080
		first := binary.LittleEndian.Uint64(number[len(number)-digits:])
		last := binary.LittleEndian.Uint64(number[len(number)-8:])
		bad := (first + each*(0x7f-'9')) | (last + each*(0x7f-'9'))
		first -= each * '0'
		last -= each * '0'
		more := &onlyLast[digits&7]
		value := eightDigits(first)*more.power + eightDigits(last&more.mask)
		return lowest + key(value), (bad|first|last)&notDigit == 0 // nothing over '9', or under '0'
	}
	var value key
	for _, c := range number[len(number)-digits:] {
		if c -= '0'; c > 9 {
			return 0, false
		}
		value = value*10 + key(c)
	}
	return lowest + value, true
}

// eightDigits is the value of eight bytes 0 to 9, the first digit in the lowest.
func eightDigits(w uint64) uint64 {
	w = w * (10<<8 + 1) >> 8                               // pairs
	w = w & 0x00ff00ff00ff00ff * (100<<16 + 1) >> 16       // fours
	return w & 0x0000ffff0000ffff * (10_000<<32 + 1) >> 32 // all
}

// onlyLast is for the digits, none to seven of them, that are not among the
// first eight.
var onlyLast = func() (all [8]struct{ power, mask uint64 }) {
	for digits := range all {
		all[digits].power = power(digits)
		all[digits].mask = ^(^uint64(0) >> (8 * digits))
	}
	return all
}()
