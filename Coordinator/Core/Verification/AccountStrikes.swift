/// How much wrong results count against an account as a whole.
///
/// Each machine that gave wrong results lately counts once, so that one broken machine does not
/// condemn its owner's others. An account that has much to show for itself has some machines free,
/// since among thousands some are always broken. What it has to show is counted in results and in
/// work, and the smaller of both decides: neither many tiny units nor a single huge one buys lies.
package struct AccountStrikes: Hashable, Sendable {
  /// Seconds for which a wrong result counts.
  package static let memorySeconds = 30 * 86_400
  /// Accepted results that make up for one machine that gave wrong ones, and how many times the
  /// work that such a machine got wrong on average has to be accepted for that.
  package static let defaultTolerance = 1_000

  /// Machines beyond those that are free.
  package let count: Int

  /// - Parameters:
  ///   - wrongMachines: the account's workers with a wrong result within `memorySeconds`.
  ///   - wrongWork: operations of the units that they got wrong.
  ///   - accepted: all results of the account that were accepted.
  ///   - acceptedWork: operations of their units.
  ///   - tolerance: see `defaultTolerance`; 1 or more.
  package init(
    wrongMachines: Int, wrongWork: Double, accepted: Int, acceptedWork: Double,
    tolerance: Int = Self.defaultTolerance
  ) {
    let tolerance = max(1, tolerance)
    let byWork =
      Double(wrongMachines) * max(0, acceptedWork) / (Double(tolerance) * max(1, wrongWork))
    count = wrongMachines - min(accepted / tolerance, Int(min(Double(wrongMachines), byWork)))
  }
}

/// What an account's machines have to bear for the wrong results of one of them.
package enum AccountPenalty: Hashable, Sendable {
  /// They go on. No machine may join in the place of the one that is suspended all the same, and
  /// what had established the account counts no more.
  case none
  /// None of them gets work for so long; what they compute now still counts.
  case hold(seconds: Int)
  /// The same, and what they have not had verified is taken back.
  case suspension(seconds: Int)

  /// What workers of a held or suspended account are told that gave no wrong result themselves.
  package static let message =
    "The account of this worker gets no work for now, since a machine of it gave wrong results."

  /// Seconds without work; nil where there is no penalty.
  package var seconds: Int? {
    switch self {
    case .none: nil
    case .hold(let seconds), .suspension(let seconds): seconds
    }
  }
}
