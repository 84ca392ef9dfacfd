package ids

import "testing"

// A stream gives the id of the whole bytes, for each kind, wherever they are cut.
func TestStream(t *testing.T) {
	data := make([]byte, 1<<20+3)
	for i := range data {
		data[i] = byte(i * i >> 5)
	}
	for k := range Kinds {
		for _, size := range []int{0, 1, 1024, 1025, 16384, 16385, 49152, 49153, len(data)} {
			s := NewStream(k)
			for at, step := 0, 1; at < size; step = step*3%40000 + 1 {
				end := min(at+step, size)
				s.Write(data[at:end])
				at = end
			}
			if s.ID() != Of(k, data[:size]) {
				t.Errorf("%s of %d bytes", k, size)
			}
		}
	}
}
