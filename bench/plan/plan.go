// Package plan has the numbers of an account as large as one likes: in blocks, as
// carriers hand them out, that are scattered over "+1". The same count is always
// the same numbers.
package plan

// Block is how many numbers carriers hand out together.
const Block = 10_000

// Append appends number i, of which there are ten thousand million.
func Append(b []byte, i int) []byte {
	block, line := (i/Block*700_001+123_456)%1_000_000, i%Block // 700,001 has no factor in common with a million
	n := block*Block + line
	b = append(b, "+1"...)
	for digit := 1_000_000_000; digit > 0; digit /= 10 {
		b = append(b, byte('0'+n/digit%10))
	}
	return b
}
