/** How a program of ours ends that was told something wrong; nothing was changed then. */
export const exitWrong = 64;
