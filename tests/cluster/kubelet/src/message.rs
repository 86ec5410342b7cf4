//! Truncates termination messages as a kubelet does.
//!
//! A kubelet reads the *last* 4,096 bytes of the file (`getTerminationMessage` in kuberuntime_container.go) and then
//! keeps the *first* bytes of it, 12,288 shared equally by all containers of the pod (`normalizeStatus` in
//! status_manager.go). It marks neither truncation.

const PER_CONTAINER: usize = 4096;
const PER_POD: usize = 12 * 1024;

/// The termination message for a file with this content in a pod with this many containers.
pub(crate) fn cut(content: &[u8], containers: usize) -> String {
    let tail = &content[content.len().saturating_sub(PER_CONTAINER)..];
    let share = PER_POD / containers.max(1);
    String::from_utf8_lossy(&tail[..tail.len().min(share)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn long_messages_lose_their_head_then_their_tail() {
        let content: Vec<u8> = (0..5000).map(|index| if index < 1000 { b'a' } else { b'b' }).collect();
        assert_eq!(cut(b"short", 5), "short");
        assert_eq!(cut(&content, 1), format!("{}{}", "a".repeat(96), "b".repeat(4000)));
        assert_eq!(cut(&content, 4).len(), 3072);
        assert_eq!(cut(&content, 4), format!("{}{}", "a".repeat(96), "b".repeat(2976)));
        assert_eq!(cut(b"", 0), "");
    }

    #[test]
    fn a_character_cut_in_two_is_replaced() {
        let content = "é".repeat(2000);
        assert_eq!(cut(content.as_bytes(), 4096), "é\u{fffd}");
    }
}
