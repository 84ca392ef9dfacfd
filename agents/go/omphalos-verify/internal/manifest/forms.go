package manifest

import "strings"

func lower(c byte) bool { return c >= 'a' && c <= 'z' }
func digit(c byte) bool { return c >= '0' && c <= '9' }

// all says whether s has at most limit bytes, each a lower-case letter, a digit, or one of others.
func all(s string, limit int, others string) bool {
	if len(s) > limit {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !lower(c) && !digit(c) && strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}

// isRole is [a-z][a-z0-9._-]{0,63}.
func isRole(s string) bool { return s != "" && lower(s[0]) && all(s[1:], 63, "._-") }

// isName is [a-z0-9][a-z0-9-]{0,63}.
func isName(s string) bool { return s != "" && s[0] != '-' && all(s, 64, "-") }

// isMediaType is [a-z0-9.+-]{1,63}/[a-z0-9.+-]{1,127}(; ?[a-z0-9=.+-]{1,64})?.
func isMediaType(s string) bool {
	s, parameter, more := strings.Cut(s, ";")
	if more {
		parameter = strings.TrimPrefix(parameter, " ")
		if parameter == "" || !all(parameter, 64, "=.+-") {
			return false
		}
	}
	kind, sub, ok := strings.Cut(s, "/")
	return ok && kind != "" && sub != "" && all(kind, 63, ".+-") && all(sub, 127, ".+-")
}

// isCreated is YYYY-MM-DDThh:mm:ssZ, or the same with a point and six digits before the Z, and a time there is.
func isCreated(s string) bool {
	const form = "0000-00-00T00:00:00"
	if len(s) != len(form)+len("Z") && len(s) != len(form)+len(".000000Z") || s[len(s)-1] != 'Z' {
		return false
	}
	numbers := [6]int{}
	at := 0
	for i := range len(form) {
		switch {
		case form[i] != '0':
			if s[i] != form[i] {
				return false
			}
			at++
		case !digit(s[i]):
			return false
		default:
			numbers[at] = 10*numbers[at] + int(s[i]-'0')
		}
	}
	if fraction := s[len(form) : len(s)-1]; fraction != "" {
		if fraction[0] != '.' {
			return false
		}
		for i := range len(fraction) - 1 {
			if !digit(fraction[i+1]) {
				return false
			}
		}
	}
	year, month, day := numbers[0], numbers[1], numbers[2]
	if year < 1 || month < 1 || month > 12 || day < 1 || numbers[3] > 23 || numbers[4] > 59 || numbers[5] > 59 {
		return false
	}
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
	if month == 2 && year%4 == 0 && (year%100 != 0 || year%400 == 0) {
		days = 29
	}
	return day <= days
}
