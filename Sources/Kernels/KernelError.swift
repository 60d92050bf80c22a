/// What the kernel layer refuses: shapes and bytes that came from a file, and settings that this
/// machine cannot run.
package struct KernelError: Error, Sendable, Equatable, CustomStringConvertible {
  package enum Code: String, Sendable {
    /// Bytes that do not hold what their shape says.
    case invalidWeights = "invalid_weights"
    /// A variant that does not exist or that this machine cannot run.
    case unavailableVariant = "unavailable_variant"
    /// Memory or threads that the system did not give.
    case outOfResources = "out_of_resources"
  }

  package let code: Code
  package let message: String

  package init(code: Code, message: String) {
    self.code = code
    self.message = message
  }

  package var description: String { "\(code.rawValue): \(message)" }
}
