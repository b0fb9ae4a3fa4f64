package config

import (
	"errors"
	"io"

	"tandem/config/catalog"
)

// ReadNumbers reads what a numbers file may hold, and calls f for each line that
// is to hold a number, a range or a prefix, until f returns an error, which it
// returns too. wrong is why a line holds none, and begins with what it holds.
func ReadNumbers(in io.Reader, f func(line int, e catalog.Entry, wrong error) error) error {
	lines, err := newNumberLines(in)
	if err != nil {
		return errors.New(readReason(err))
	}
	for {
		e, wrong, err := lines.next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return errors.New(readReason(err))
		}
		if err := f(lines.line, e, wrong); err != nil {
			return err
		}
	}
}
