package table

import "encoding/binary"

// MaxDigits is the most digits of an international number (ITU-T E.164 6.1).
const MaxDigits = 15

// A key is a number or a prefix in one word. Leading zeros and the "+" matter,
// so the digits' value alone would not tell 0110 from 110 or from +110:
//
//	bit  54     the number starts with "+"
//	bits 50-53  count of digits, 0 to 15 (0 only in a prefix)
//	bits 0-49   value of the digits; 10^15 is less than 2^50
//
// Keys of equal length and equal "+" are in the order of their numbers.
type key uint64

const (
	keyPlus   key = 1 << 54
	digitsBit     = 50
	valueMask     = 1<<digitsBit - 1
)

func makeKey(plus bool, digits int, value uint64) key {
	k := key(digits)<<digitsBit | key(value)
	if plus {
		k |= keyPlus
	}
	return k
}

func (k key) plus() bool    { return k&keyPlus != 0 }
func (k key) digits() int   { return int(k>>digitsBit) & 15 }
func (k key) value() uint64 { return uint64(k) & valueMask }

// shorten returns the key of the same number without its last digit.
func (k key) shorten() key {
	return makeKey(k.plus(), k.digits()-1, k.value()/10)
}

// class numbers the combinations of length and "+", below classes.
func (k key) class() int { return int(k>>digitsBit) & 31 }

const classes = 32

// String writes the number as it was read.
func (k key) String() string {
	var b [1 + MaxDigits]byte
	at := len(b)
	value := k.value()
	for range k.digits() {
		at--
		b[at] = byte('0' + value%10)
		value /= 10
	}
	if k.plus() {
		at--
		b[at] = '+'
	}
	return string(b[at:])
}

// An ordinal is the key's place among all numbers and prefixes: those without
// "+" by length and value, then those with it. There are 2 × 1,111,111,111,111,111
// of them, which is 51 bits; the key's own 55 would cost the array four bits.
const (
	ordinalBits = 51
	ordinalMask = 1<<ordinalBits - 1
)

// firstOrdinal is the ordinal of the lowest key of each class.
var firstOrdinal = func() (first [classes]uint64) {
	next := uint64(0)
	for class := range first {
		first[class] = next
		next += power(class % (MaxDigits + 1))
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

func (k key) ordinal() uint64 { return k.value() + firstOrdinal[k.class()] }

// keyAt is the key with an ordinal.
func keyAt(ordinal uint64) key {
	class := classes - 1
	for firstOrdinal[class] > ordinal {
		class--
	}
	return makeKey(class > MaxDigits, class%(MaxDigits+1), ordinal-firstOrdinal[class])
}

// parseKey reads an optional "+" and at most 15 digits. It reports false for
// anything else; no digits at all are fine here, because a prefix may have none.
func parseKey(number []byte) (key, bool) {
	plus := len(number) > 0 && number[0] == '+'
	digits := number
	if plus {
		digits = number[1:]
	}
	if len(digits) > MaxDigits {
		return 0, false
	}
	if len(digits) >= 8 {
		// The first eight and the last eight at once. It is worth its length: what
		// a lookup computes is time in which the next one's memory is not asked for.
		const each, notDigit = 0x0101010101010101, 0x8080808080808080
		first := binary.LittleEndian.Uint64(digits)
		last := binary.LittleEndian.Uint64(digits[len(digits)-8:])
		bad := (first + each*(0x7f-'9')) | (last + each*(0x7f-'9'))
		first -= each * '0'
		last -= each * '0'
		if (bad|first|last)&notDigit != 0 { // over '9', or under '0'
			return 0, false
		}
		more := uint(len(digits)) & 7 // digits that are in last only
		value := eightDigits(first)*powers[more] + eightDigits(last&^(1<<(64-8*more)-1))
		return makeKey(plus, len(digits), value), true
	}
	var value uint64
	for _, c := range digits {
		if c -= '0'; c > 9 {
			return 0, false
		}
		value = value*10 + uint64(c)
	}
	return makeKey(plus, len(digits), value), true
}

// eightDigits is the value of eight bytes 0 to 9, the first digit in the lowest.
func eightDigits(w uint64) uint64 {
	w = w * (10<<8 + 1) >> 8                               // pairs
	w = w & 0x00ff00ff00ff00ff * (100<<16 + 1) >> 16       // fours
	return w & 0x0000ffff0000ffff * (10_000<<32 + 1) >> 32 // all
}

var powers = [8]uint64{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000}
