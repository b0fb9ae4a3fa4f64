package catalog

import (
	"errors"
	"fmt"
	"strings"

	"tandem/config/number"
)

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

// ParseNumbers reads one entry as an operator writes it: a number, a range
// A-B with both ends written out, or a prefix X*.
//
// Visual separators (RFC 3966 5.1.1: - . ( ), and spaces) inside a number are
// removed. A "-" is the sign of a range wherever it could be one: it separates
// digits only in a number that begins with "+", and not alone, since
// "+4930100-4930199" is more likely a range that lacks its second "+".
func ParseNumbers(s string) (Numbers, error) {
	text := strings.TrimSpace(s)
	if text == "" {
		return Numbers{}, errors.New("is empty; write a number, a range A-B or a prefix X*")
	}
	if head, ok := strings.CutSuffix(text, "*"); ok {
		first, err := parseNumber(head)
		if err != nil {
			return Numbers{}, err
		}
		return Numbers{Kind: Prefix, First: first}, nil
	}
	first, last, ok, err := cutRange(text)
	if err != nil {
		return Numbers{}, err
	}
	if first, err = parseNumber(first); err != nil {
		return Numbers{}, err
	}
	if !ok {
		return Numbers{Kind: Exact, First: first}, nil
	}
	if last, err = parseNumber(last); err != nil {
		return Numbers{}, err
	}
	n := Numbers{Kind: Range, First: first, Last: last}
	if err := n.check(); err != nil {
		return Numbers{}, err
	}
	return n, nil
}

// cutRange splits a range at its "-"; ok is false when text is one number.
func cutRange(text string) (first, last string, ok bool, err error) {
	if i := plusAfterHyphen(text); i >= 0 {
		return text[:i], strings.TrimSpace(text[i+1:]), true, nil
	}
	hyphens := strings.Count(text, "-")
	switch {
	case hyphens == 0:
		return text, "", false, nil
	case text[0] != '+' && hyphens == 1:
		first, last, _ = strings.Cut(text, "-")
		return first, last, true, nil
	case text[0] == '+' && hyphens > 1:
		return text, "", false, nil
	case text[0] == '+':
		return "", "", false, fmt.Errorf(`%s may be a number or a range; write a number without "-", and both ends of a range with "+"`, quote(text))
	}
	return "", "", false, fmt.Errorf(`%s has more than one "-"; write a range as A-B, or a number without "-"`, quote(text))
}

// plusAfterHyphen returns where the "-" of "A-+B" or "A - +B" stands, or -1.
func plusAfterHyphen(text string) int {
	plus := strings.LastIndexByte(text, '+')
	if plus <= 0 {
		return -1
	}
	head := strings.TrimRight(text[:plus], " ")
	if !strings.HasSuffix(head, "-") {
		return -1
	}
	return len(head) - 1
}

// parseNumber removes visual separators from one number.
func parseNumber(s string) (string, error) {
	s = strings.TrimSpace(s)
	plus := strings.HasPrefix(s, "+")
	digits := make([]byte, 0, 1+number.MaxDigits)
	if plus {
		digits = append(digits, '+')
	}
	for i, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits = append(digits, byte(r))
		case r == '+' && i == 0:
		case r == ' ', r == '.', r == '(', r == ')', r == '-' && plus:
		case r == '*' || r == '#':
			return "", fmt.Errorf(`%s holds %q; a number has digits only, and "*" stands at the end of a prefix`, quote(s), r)
		default:
			return "", fmt.Errorf(`%s holds %q; write digits with or without a leading "+"`, quote(s), r)
		}
	}
	text := string(digits)
	return text, checkNumber(text)
}

// checkNumber accepts an optional "+" and 1 to 15 digits.
func checkNumber(text string) error {
	digits := strings.TrimPrefix(text, "+")
	if digits == "" {
		return errors.New("has no digits; write a number, a range A-B or a prefix X* with at least one digit")
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return fmt.Errorf("%s is not a number: an optional \"+\" and digits", quote(text))
		}
	}
	if len(digits) > number.MaxDigits {
		return fmt.Errorf("%s has more than %d digits, the longest that E.164 allows", quote(text), number.MaxDigits)
	}
	return nil
}

// check says what is wrong with an entry that did not come from ParseNumbers.
func (n Numbers) check() error {
	if err := checkNumber(n.First); err != nil {
		return err
	}
	if n.Kind != Range {
		return nil
	}
	if err := checkNumber(n.Last); err != nil {
		return err
	}
	switch {
	case (n.First[0] == '+') != (n.Last[0] == '+'):
		return fmt.Errorf(`%s has "+" at one end only; write both ends of a range with it or without`, n)
	case len(n.First) != len(n.Last):
		return fmt.Errorf("%s has ends of different length; write both ends with the same number of digits, as in %s-%s",
			n, n.First, n.First[:len(n.First)-1]+"9")
	case n.First > n.Last:
		return fmt.Errorf("%s runs backwards; write %s-%s", n, n.Last, n.First)
	}
	return nil
}

// String writes the entry as ParseNumbers reads it.
func (n Numbers) String() string {
	switch n.Kind {
	case Range:
		return n.First + "-" + n.Last
	case Prefix:
		return n.First + "*"
	}
	return n.First
}

// quote quotes what an operator wrote, cut to a length fit for a message.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%.*q...", most, s)
	}
	return fmt.Sprintf("%q", s)
}
