/// Says how likely the trusted machine computes again what a quorum accepted.
///
/// Two accounts that belong to one person can agree on anything, and nothing but such a draw finds
/// it. So it is the likelier the less is known of those who agreed: an account is *established*
/// once different established accounts, or the trusted machine, have confirmed results of it.
package struct AuditRule: Hashable, Sendable {
  /// Confirmations that make an account established: each established partner counts once, and so
  /// does each unit that the trusted machine confirmed.
  package static let establishedConfirmations = 5
  /// Times the share, when none of those who agreed is established.
  package static let youngFactor = 20.0
  /// Times the share, when some of them are and some are not.
  package static let mixedFactor = 5.0

  /// The share for established accounts, 0 to 1.
  package let share: Double

  package init(share: Double) { self.share = share }

  /// The probability of an audit.
  ///
  /// - Parameter confirmations: of each account that agreed.
  package func chance(confirmations: [Int]) -> Double {
    let established = confirmations.count { $0 >= Self.establishedConfirmations }
    let factor =
      switch established {
      case confirmations.count: 1.0
      case 0: Self.youngFactor
      default: Self.mixedFactor
      }
    return min(1, max(0, share * factor))
  }
}
