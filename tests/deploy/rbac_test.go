package deploy

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
)

// granted are the rules of an account: of the cluster, and of the namespace.
type granted struct{ cluster, namespace []rbacv1.PolicyRule }

func accounts(t *testing.T) map[string]granted {
	t.Helper()
	roles := every[rbacv1.Role](t, "Role", full(t))
	clusterRoles := every[rbacv1.ClusterRole](t, "ClusterRole", full(t))
	found := map[string]granted{}
	used := map[string]bool{}
	for name, binding := range every[rbacv1.RoleBinding](t, "RoleBinding", full(t)) {
		role, there := roles[binding.RoleRef.Name]
		if !there || binding.RoleRef.Kind != "Role" {
			t.Errorf("%s: expected it to bind a role of the chart, found %v", name, binding.RoleRef)
		}
		account := found[only(t, binding.Subjects)]
		account.namespace = append(account.namespace, role.Rules...)
		found[only(t, binding.Subjects)] = account
		used["Role/"+role.Name] = true
	}
	for name, binding := range every[rbacv1.ClusterRoleBinding](t, "ClusterRoleBinding", full(t)) {
		role, there := clusterRoles[binding.RoleRef.Name]
		if !there || binding.RoleRef.Kind != "ClusterRole" {
			t.Errorf("%s: expected it to bind a role of the chart, found %v", name, binding.RoleRef)
		}
		account := found[only(t, binding.Subjects)]
		account.cluster = append(account.cluster, role.Rules...)
		found[only(t, binding.Subjects)] = account
		used["ClusterRole/"+role.Name] = true
	}
	for name := range roles {
		if !used["Role/"+name] {
			t.Errorf("Role %s: expected it to be bound, found it unused", name)
		}
	}
	for name := range clusterRoles {
		if !used["ClusterRole/"+name] {
			t.Errorf("ClusterRole %s: expected it to be bound, found it unused", name)
		}
	}
	return found
}

func only(t *testing.T, subjects []rbacv1.Subject) string {
	t.Helper()
	if len(subjects) != 1 || subjects[0].Kind != "ServiceAccount" || subjects[0].Namespace != "holdfast" {
		t.Fatalf("expected one account of the namespace, found %v", subjects)
	}
	return subjects[0].Name
}

func TestAccounts_OfThePodsThatAskTheApiServer_AloneMayAnything(t *testing.T) {
	found := names(accounts(t))
	if !slices.Equal(found, []string{"holdfast-controller", "holdfast-snapshot-controller"}) {
		t.Errorf("expected rights of the controllers only, found some of %v", found)
	}
}

func TestRules_NameWhatTheyAllow(t *testing.T) {
	for account, rules := range accounts(t) {
		for _, rule := range slices.Concat(rules.cluster, rules.namespace) {
			for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
				if len(list) == 0 || slices.Contains(list, "*") {
					t.Errorf("%s: expected groups, resources and verbs by name, found %v", account, rule)
				}
			}
			if len(rule.NonResourceURLs) > 0 {
				t.Errorf("%s: expected resources only, found %v", account, rule)
			}
		}
	}
}

// Nobody reads another Secret than the one with the authority, and nobody writes that one twice.
func TestRules_OfSecrets_AreOfOneNameInOneNamespace(t *testing.T) {
	for account, rules := range accounts(t) {
		for _, rule := range rules.cluster {
			if slices.Contains(rule.Resources, "secrets") {
				t.Errorf("%s: expected no Secrets of the cluster, found %v", account, rule)
			}
		}
		for _, rule := range rules.namespace {
			if !slices.Contains(rule.Resources, "secrets") || slices.Equal(rule.Verbs, []string{"create"}) {
				continue
			}
			if !slices.Equal(rule.Verbs, []string{"get"}) || !slices.Equal(rule.ResourceNames, []string{"holdfast-authority"}) {
				t.Errorf("%s: expected to get holdfast-authority alone, found %v", account, rule)
			}
		}
	}
}

// A lease of another component is none of theirs.
func TestRules_OfLeases_AreByName(t *testing.T) {
	for account, rules := range accounts(t) {
		for _, rule := range rules.namespace {
			if slices.Contains(rule.Resources, "leases") && len(rule.ResourceNames) != 1 && !slices.Equal(rule.Verbs, []string{"create"}) {
				t.Errorf("%s: expected one lease by name, found %v", account, rule)
			}
		}
	}
}
