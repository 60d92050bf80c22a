/// Why a store refused; the API turns `code` into a status.
package struct StoreError: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Code: String, Hashable, Sendable {
    /// Nothing has this name, or it belongs to someone else.
    case notFound
    /// The thing exists but is in a state that does not allow this.
    case conflict
    /// A list's `after` names nothing in the list.
    case unknownCursor
    /// No such lease for this worker.
    case leaseUnknown
    /// The invitation is unknown, used up or expired.
    case invitationInvalid
    /// The operator ended the worker's membership, or its account was deleted.
    case membershipEnded
    /// The worker's program is older than the operator admits.
    case upgradeRequired
    /// The same change was made a moment ago; it is possible again within a minute.
    case tooSoon
    /// The caller's values cannot be stored.
    case invalid
    /// A database or blob that this program did not write, or that is damaged.
    case corrupt
  }
  package let code: Code
  /// A sentence for people.
  package let message: String

  package init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { message }
}
