import Foundation
import WireProtocol

/// Recomputes every hash of the chain of receipts, one receipt after the other.
package struct ReceiptChain: Hashable, Sendable {
  /// Receipts that hold, and the hash of the last.
  package private(set) var count = 0
  package private(set) var head = ReceiptRecord.start

  package init() {}

  /// Looks at the next receipt; gives what is wrong with it, nil for nothing.
  package mutating func follow(_ row: ReceiptRow) -> ReceiptChainCheck? {
    let number = row.record.body.sequence
    func broken(_ reason: String) -> ReceiptChainCheck {
      .broken(sequence: number, reason: reason)
    }
    guard number == count + 1 else { return broken("receipt \(count + 1) is missing") }
    guard row.record.previous == head else {
      return broken("it does not follow the receipt before")
    }
    let hash = ReceiptRecord.hash(previous: head, body: row.text)
    guard row.record.hash == hash else { return broken("its text does not have its hash") }
    let said = try? CanonicalJSON.decode(ReceiptRecord.Body.self, from: Data(row.text.utf8))
    guard said?.sequence == number else { return broken("its text has another number") }
    count = number
    head = hash
    return nil
  }
}
