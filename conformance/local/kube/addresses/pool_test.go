package addresses

import (
	"net/netip"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

func owner(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: "test", Name: name}
}

func expect(t *testing.T, given map[types.NamespacedName]string, want map[string]string) {
	t.Helper()
	if len(given) != len(want) {
		t.Errorf("given %v, want %v", given, want)
	}
	for name, address := range want {
		if given[owner(name)] != address {
			t.Errorf("%s has %q, want %q (all: %v)", name, given[owner(name)], address, given)
		}
	}
}

func TestAddressesAreKeptAndNotReusedAtOnce(t *testing.T) {
	p := newPool(netip.MustParsePrefix("192.0.2.0/29"))
	expect(t, p.settle([]claim{{owner: owner("a")}, {owner: owner("b")}}),
		map[string]string{"a": "192.0.2.1", "b": "192.0.2.2"})
	expect(t, p.settle([]claim{{owner: owner("b")}, {owner: owner("c")}}),
		map[string]string{"b": "192.0.2.2", "c": "192.0.2.3"})
	expect(t, p.settle([]claim{{owner: owner("b"), has: "192.0.2.2"}, {owner: owner("c")}, {owner: owner("d")}}),
		map[string]string{"b": "192.0.2.2", "c": "192.0.2.3", "d": "192.0.2.4"})
}

func TestPoolRunsOutAndWrapsAround(t *testing.T) {
	p := newPool(netip.MustParsePrefix("192.0.2.0/30"))
	expect(t, p.settle([]claim{{owner: owner("a")}, {owner: owner("b")}, {owner: owner("c")}}),
		map[string]string{"a": "192.0.2.1", "b": "192.0.2.2"})
	expect(t, p.settle([]claim{{owner: owner("b")}, {owner: owner("c")}}),
		map[string]string{"b": "192.0.2.2", "c": "192.0.2.1"})
}

func TestWantedAddress(t *testing.T) {
	p := newPool(netip.MustParsePrefix("192.0.2.0/29"))
	expect(t, p.settle([]claim{
		{owner: owner("a")},
		{owner: owner("outside"), wanted: "203.0.113.1"},
		{owner: owner("static"), wanted: "192.0.2.1"},
		{owner: owner("static-too"), wanted: "192.0.2.1"},
	}), map[string]string{"static": "192.0.2.1", "a": "192.0.2.2"})
	// It changes its mind; who waited gets the address.
	expect(t, p.settle([]claim{
		{owner: owner("static"), wanted: "192.0.2.5", has: "192.0.2.1"},
		{owner: owner("static-too"), wanted: "192.0.2.1"},
	}), map[string]string{"static": "192.0.2.5", "static-too": "192.0.2.1"})
}

func TestAdoptsAfterRestart(t *testing.T) {
	p := newPool(netip.MustParsePrefix("192.0.2.0/29"))
	expect(t, p.settle([]claim{
		{owner: owner("a")},
		{owner: owner("b"), has: "192.0.2.1"},
		{owner: owner("c"), has: "192.0.2.1"},
		{owner: owner("d"), has: "192.0.2.7"},
	}), map[string]string{"b": "192.0.2.1", "a": "192.0.2.2", "c": "192.0.2.3", "d": "192.0.2.4"})
}
