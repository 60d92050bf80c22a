/// How much wrong results count against an account as a whole.
///
/// Each machine that gave wrong results lately counts once, so that one broken machine does not
/// condemn its owner's others. An account that has much to show for itself has some machines free,
/// since among thousands some are always broken.
package struct AccountStrikes: Hashable, Sendable {
  /// Seconds for which a wrong result counts.
  package static let memorySeconds = 30 * 86_400
  /// Accepted results that make up for one machine that gave wrong ones.
  package static let resultsForOneMachine = 1_000

  /// Machines beyond those that are free.
  package let count: Int

  /// - Parameters:
  ///   - wrongMachines: the account's workers with a wrong result within `memorySeconds`.
  ///   - accepted: all results of the account that were accepted.
  package init(wrongMachines: Int, accepted: Int) {
    count = wrongMachines - accepted / Self.resultsForOneMachine
  }
}

/// What an account's machines have to bear for the wrong results of one of them.
package enum AccountPenalty: Hashable, Sendable {
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
