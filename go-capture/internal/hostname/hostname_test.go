// SPDX-License-Identifier: Apache-2.0

package hostname

import "testing"

func TestANameInOtherLettersIsLookedUpInASCII(t *testing.T) {
	for host, want := range map[string]string{
		"küche.test": "xn--kche-0ra.test", "Ku\u0308che.TEST": "xn--kche-0ra.test", "xn--kche-0ra.test": "xn--kche-0ra.test",
		"my_broker": "my_broker", "küche_1.test": "xn--kche_1-3ya.test", "192.0.2.7": "192.0.2.7", "fe80::1%küche": "fe80::1%küche", "": "",
	} {
		if got, err := ASCII(host); err != nil || got != want {
			t.Errorf("%q is looked up as %q, %v; want %q", host, got, err, want)
		}
	}
	if got, err := ASCII("kü\u2028che"); err == nil {
		t.Errorf("what is no name is looked up as %q", got)
	}
	for _, name := range []string{"KÜCHE.test.", "küche。test。"} {
		if Plain(name) != Plain("xn--kche-0ra.test") {
			t.Errorf("%s is another name", name)
		}
	}
}
