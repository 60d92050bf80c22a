/// Who a view is for.
package enum Audience: Hashable, Sendable {
  /// Anybody: accounts and workers are named whose owner agreed.
  case everyone
  /// The coordinator's operator, who is shown every name.
  case `operator`
}
